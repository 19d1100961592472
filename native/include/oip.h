/* SPDX-License-Identifier: Apache-2.0
 *
 * The serving codec: one call from the bytes of an Open Inference Protocol ModelInferRequest to those of its answer.
 * It is a strict acceptor. It answers what it understands completely and finds valid; for anything else it says
 * OIP_PASS and has changed nothing, and another reader of the same bytes, which knows the whole protocol, answers or
 * refuses. So it has no errors of its own, and what it accepts means to it what it means to that reader.
 *
 * Conventions
 *   Memory    The caller owns all of it and keeps it in place while a struct points to it. Nothing is allocated.
 *             Requests need no alignment and are read within their size alone. Zero bytes may be at NULL.
 *   Threads   An oip_server, and what it points to, is used by one call at a time; an oip_stats is counted in through
 *             one server. Tables, routes and specs are only read by calls, and any number of threads take numbers from
 *             one sequence. There are no locks.
 *   Time      CLOCK_MONOTONIC in nanoseconds; CLOCK_REALTIME only for oip_stats.last_ms.
 */
#ifndef OIP_H
#define OIP_H

#include <stddef.h>
#include <stdint.h>

#include "liam.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OIP_ABI_VERSION 1

/* Requests with more tensors, requested outputs or dimensions than these are passed. */
#define OIP_MAX_TENSORS 16
#define OIP_MAX_DIMS 8

/* Bytes of a prediction id, and of its part that is the same for all answers of a route. */
#define OIP_ID_BYTES 48
#define OIP_ID_TEXT 64
#define OIP_SUBJECT_BYTES 23
#define OIP_KEY_BYTES 32
#define OIP_NODE_BYTES 63

/* What calls return besides sizes of answers, which are positive. */
#define OIP_PASS 0
#define OIP_BEGUN (-1)

uint32_t oip_abi_version(void);

/* ---- Requests ---------------------------------------------------------------------------------------------- */

/* Bytes of a request, from its beginning. */
typedef struct oip_span {
    size_t at;
    size_t size;
} oip_span;

/* An input; raw is its buffer. */
typedef struct oip_tensor {
    oip_span name;
    oip_span datatype;
    oip_span raw;
    size_t dims;
    int64_t shape[OIP_MAX_DIMS];
} oip_tensor;

/* A request. All texts are valid UTF-8, no dimension is negative, and there are as many buffers as inputs. */
typedef struct oip_request {
    oip_span model;
    oip_span version;
    oip_span id;
    size_t inputs;
    size_t outputs;
    size_t parameters; /* how many there are; none of them concerns the answer */
    oip_tensor input[OIP_MAX_TENSORS];
    oip_span output[OIP_MAX_TENSORS]; /* names of the outputs that are asked for */
} oip_request;

/* Reads a request without looking at what is served: 1, or OIP_PASS, which leaves the request undefined. Accepted are
 * messages with raw contents for every input, of shortest varints, without unknown fields, repeated singular fields,
 * parameters of tensors, and parameters that the server might have to obey (sequences, priority, timeout, triton_*). */
int oip_read(const uint8_t *data, size_t size, oip_request *request);

/* ---- Counting ---------------------------------------------------------------------------------------------- */

/* Buckets of a latency histogram: base 2, scale 5, the first one has index OIP_FIRST_BUCKET. They hold every number of
 * nanoseconds from 1 to 2^63 as seconds. */
#define OIP_BUCKETS 2048
#define OIP_FIRST_BUCKET (-960)
#define OIP_CODES 17 /* gRPC status codes */

/* Totals of a version, all zero at first; durations in nanoseconds. It holds no pointers and may be shared memory with
 * one writer. */
typedef struct oip_stats {
    uint64_t requests;
    uint64_t rows;
    uint64_t success_ns;
    uint64_t failures;
    uint64_t failure_ns;
    uint64_t executions;
    uint64_t input_ns;
    uint64_t infer_ns;
    uint64_t output_ns;
    uint64_t queued;
    uint64_t queue_ns;
    uint64_t last_ms;
    uint64_t reserved[4];
    uint64_t errors[OIP_CODES];
    uint64_t recorded;   /* latencies in the histogram */
    uint64_t zero_count; /* latencies of no nanosecond */
    double sum;          /* in seconds */
    double low;          /* the least and the greatest; undefined when nothing was recorded */
    double high;
    uint64_t buckets[OIP_BUCKETS];
} oip_stats;

/* Records one latency in the histogram. */
void oip_record(oip_stats *stats, uint64_t nanoseconds);

/* Counts an answered request by its moments. */
void oip_count(oip_stats *stats, uint64_t rows, uint64_t started_ns, uint64_t read_ns, uint64_t ran_ns,
               uint64_t now_ns);

/* ---- Prediction ids ---------------------------------------------------------------------------------------- */

/* Takes the next number of a sequence, which holds the last one that was given: each is given once, to whichever
 * thread asks. */
uint64_t oip_next(uint64_t *sequence);

typedef struct oip_issuer {
    uint64_t *sequence;  /* the caller's, who may issue ids beside the codec, by oip_next */
    uint64_t started_ns; /* when the epoch began */
    uint64_t epoch_ms;
    uint32_t state[8]; /* BLAKE2s after the key and the whole blocks of the head */
    uint64_t hashed;   /* bytes in it */
    uint8_t rest[64];  /* of the head */
    size_t rest_size;
} oip_issuer;

/* Prepares an issuer: 1, or 0 if the key has not OIP_KEY_BYTES bytes or the node has none or more than
 * OIP_NODE_BYTES. */
int oip_issuer_init(oip_issuer *issuer, const uint8_t *key, size_t key_size, const uint8_t *node, size_t node_size,
                    uint64_t epoch_ms, uint64_t started_ns, uint64_t *sequence);

/* Writes the next id, in the form that neuralmesh_server.prediction_id documents. */
void oip_issue(const oip_issuer *issuer, const uint8_t *subject, uint64_t now_ns, uint8_t *id);

/* Writes OIP_ID_TEXT characters of URL-safe base64. */
void oip_id_text(const uint8_t *id, uint8_t *text);

/* ---- SHA-256 ----------------------------------------------------------------------------------------------- */

typedef struct oip_sha256 {
    uint32_t state[8];
    uint64_t hashed; /* bytes so far */
    uint8_t block[64];
} oip_sha256;

void oip_sha256_init(oip_sha256 *hash);
void oip_sha256_update(oip_sha256 *hash, const uint8_t *data, size_t size);
void oip_sha256_final(oip_sha256 *hash, uint8_t *digest); /* 32 bytes */

/* 1 if the processor's own instructions are in use. oip_sha256_portable(1) does without them, for tests. */
int oip_sha256_native(void);
void oip_sha256_portable(int portable);

/* ---- What is kept of answers ------------------------------------------------------------------------------- */

/* Labels until they are taken: for record i the prediction's id, the route's owner, and how many labels it has; the
 * labels of all records follow one another. What does not fit is counted as dropped. */
typedef struct oip_labels {
    size_t limit;    /* records that fit */
    size_t capacity; /* labels that fit */
    size_t count;
    size_t used; /* labels */
    uint64_t dropped;
    uint8_t *ids; /* OIP_ID_BYTES each */
    uint32_t *owners;
    uint32_t *rows;
    int64_t *values;
} oip_labels;

/* A digest receipt; big-endian fields are those of the id. Its size is 128 bytes. */
typedef struct oip_receipt {
    uint8_t id[OIP_ID_BYTES];
    uint8_t request[32]; /* SHA-256 of the request's bytes */
    uint8_t outputs[32]; /* SHA-256 of the outputs as neuralmesh.inference.v1.Receipt.outputs_digest defines it */
    uint32_t owner;      /* of the route */
    uint32_t flags;      /* OIP_RECEIPT_* */
    uint64_t reserved;
} oip_receipt;

#define OIP_RECEIPT_BIT_EXACT 1 /* the version's answers repeat bit by bit */

/* Receipts until they are taken: records written modulo capacity; those from taken to written are there. When all
 * places are full, receipts are not kept but counted as dropped. */
typedef struct oip_receipts {
    size_t capacity;
    uint64_t written;
    uint64_t taken;
    uint64_t dropped;
    oip_receipt *records;
} oip_receipts;

/* ---- Routes ------------------------------------------------------------------------------------------------ */

typedef struct oip_text {
    const uint8_t *at;
    size_t size;
} oip_text;

/* A tensor of a version; a dimension of -1 stands for any length. */
typedef struct oip_spec {
    oip_text name;
    oip_text datatype;
    size_t width; /* bytes of an element */
    int boolean;  /* elements are the bytes 0 and 1 */
    size_t dims;
    int64_t shape[OIP_MAX_DIMS];
    oip_text field;  /* outputs: fields name and datatype as they are answered */
    oip_text header; /* outputs: canonical header between its `bytes` and its dimensions */
} oip_spec;

/* What answers a (model, version text). */
typedef struct oip_route {
    const oip_spec *input;
    size_t inputs;
    const oip_spec *output;
    size_t outputs;
    const liam_network *network; /* one FP32 input; outputs are INT64 labels and FP32 scores; NULL: the caller runs */
    size_t classes;
    int64_t label;       /* the output that holds labels, INT64; -1 for none */
    size_t max_rows;     /* more are passed */
    oip_text head;       /* fields model_name and model_version of the answer */
    oip_text parameters; /* fields parameters of the answer, the last one without the id's 64 characters */
    oip_text digest;     /* of what answers, as text */
    uint8_t subject[OIP_SUBJECT_BYTES];
    oip_stats *stats;
    uint32_t owner;      /* the caller's number for what answers */
    uint32_t flags;      /* OIP_RECEIPT_* of its receipts */
    uint64_t receipts;   /* share of predictions that get a receipt: 0 none, 2^64 - 1 all, else checksums below it */
} oip_route;

typedef struct oip_entry {
    oip_text model;
    oip_text version;
    const oip_route *route; /* NULL: free */
} oip_entry;

/* Routes by open addressing; slots is a power of two, and at least one entry is free. */
typedef struct oip_table {
    size_t slots;
    size_t used;
    oip_entry *entries;
} oip_table;

/* Adds a route: 1, or 0 if there is no room or the key is there. */
int oip_table_add(oip_table *table, oip_text model, oip_text version, const oip_route *route);

/* The same of texts in parts, for callers to whom structs are dear. */
int oip_table_put(oip_table *table, const uint8_t *model, size_t model_size, const uint8_t *version,
                  size_t version_size, const oip_route *route);

/* The route of a key, or NULL. */
const oip_route *oip_table_find(const oip_table *table, oip_text model, oip_text version);

/* ---- Answers ----------------------------------------------------------------------------------------------- */

/* One output, as the caller ran it. */
typedef struct oip_result {
    const uint8_t *data; /* needed for labels and receipts */
    size_t size;
    size_t dims;
    int64_t shape[OIP_MAX_DIMS];
} oip_result;

typedef struct oip_server {
    oip_issuer issuer;
    oip_labels *labels;     /* NULL keeps none */
    oip_receipts *receipts; /* NULL keeps none */
    uint8_t *answer;        /* where answers are written */
    size_t answer_bytes;
    void *scratch; /* as liam_network_run wants it */
    size_t scratch_bytes;
} oip_server;

/* One request on its way; written by oip_answer and oip_finish, but for what it begins with. */
typedef struct oip_call {
    oip_text pin; /* the caller's: a route of this digest is to answer, or none; NULL for whichever there is */
    oip_request request;
    const oip_route *route;         /* NULL when nothing is begun */
    size_t rows;                    /* first dimension of the first input, 1 where it has none */
    size_t given[OIP_MAX_TENSORS];  /* for each input of the route its position in the request */
    size_t choices;                 /* outputs to answer */
    size_t chosen[OIP_MAX_TENSORS]; /* their positions in the route */
    size_t cuts[OIP_MAX_TENSORS];   /* after oip_finish: end of the bytes before each output's elements */
    uint64_t started_ns;
    uint64_t read_ns;
    uint8_t id[OIP_ID_BYTES]; /* of the answer */
} oip_call;

/* Answers a request. Returns the answer's size, which is in server->answer; OIP_PASS; or OIP_BEGUN, if the route has no
 * network: the request is valid, the answer has room but for its elements, and the call says what oip_finish needs. */
int64_t oip_answer(oip_server *server, const oip_table *table, oip_call *call, const uint8_t *data, size_t size);

/* Finishes what oip_answer began, with the same data and all outputs of the route in order; writes everything but the
 * outputs' elements: bytes from 0 to cuts[0] of server->answer, then the elements of output chosen[0], then bytes up to
 * cuts[1], and so on. Other calls may have been answered in between. Returns the end of the last such bytes, or
 * OIP_PASS. */
int64_t oip_finish(oip_server *server, oip_call *call, const uint8_t *data, size_t size, const oip_result *results);

/* The same with the outputs' elements, which must have room as well; returns the size of the answer, or OIP_PASS. */
int64_t oip_finish_whole(oip_server *server, oip_call *call, const uint8_t *data, size_t size,
                         const oip_result *results);

/* CLOCK_MONOTONIC. */
uint64_t oip_now(void);

#ifdef __cplusplus
}
#endif

#endif
