/* SPDX-License-Identifier: Apache-2.0
 *
 * One input of the fuzzer: the bytes of a request, read and answered by a network or an index, on the way or apart, and
 * answered by a caller's own run.
 * Whatever is accepted must lie within the request and fit its route; whatever is passed must have changed nothing.
 */
#include "oip_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oip.h"

#define FEATURES 4
#define HIDDEN 70
#define CLASSES 3
#define CODES 20
#define NEAREST 2

enum { DIRECT, CALLERS, APART, INDEX, ROUTES };

#define REQUIRE(condition)                                               \
    do {                                                                 \
        if (!(condition)) {                                              \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                     \
        }                                                                \
    } while (0)

typedef struct fixture {
    liam_network *network;
    liam_index index;
    oip_runner runners[2];
    void *scratch;
    size_t scratch_bytes;
    oip_spec input;
    oip_spec output[2];
    oip_spec pair[2];
    oip_spec found[2];
    oip_stats stats;
    oip_route routes[ROUTES];
    oip_entry entries[16];
    oip_table table;
    oip_labels labels;
    oip_receipts receipts;
    uint64_t sequence;
} fixture;

static oip_text text(const char *content) { return (oip_text){(const uint8_t *)content, strlen(content)}; }

static void *aligned(size_t bytes) {
    void *memory = aligned_alloc(LIAM_ALIGNMENT, (bytes + LIAM_ALIGNMENT - 1) / LIAM_ALIGNMENT * LIAM_ALIGNMENT);
    REQUIRE(memory != NULL);
    return memory;
}

static void make_network(fixture *f) {
    int32_t source[FEATURES], limits[HIDDEN] = {0};
    float thresholds[FEATURES] = {0}, scale[CLASSES] = {1, 1, 1}, bias[CLASSES] = {0};
    uint64_t first[HIDDEN], head[CLASSES * 2];
    for (int i = 0; i < FEATURES; i++) source[i] = i;
    for (int i = 0; i < HIDDEN; i++) first[i] = (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < CLASSES * 2; i++) head[i] = (uint64_t)(i + 1) * UINT64_C(0xc2b2ae3d27d4eb4f);
    const liam_layer_spec layer = {first, 1, limits, HIDDEN};
    const liam_network_spec spec = {FEATURES, FEATURES, source, thresholds, 1, &layer,
                                    head,     2,        scale,  bias,       CLASSES, NULL, NULL, NULL};
    size_t bytes;
    REQUIRE(liam_network_bytes(&spec, &bytes) == LIAM_OK);
    f->network = aligned(bytes);
    REQUIRE(liam_network_prepare(&spec, f->network, bytes) == LIAM_OK);
    REQUIRE(oip_runner_of_network(&f->runners[0], f->network));
}

static void make_index(fixture *f) {
    uint64_t codes[CODES];
    static int64_t ids[CODES];
    size_t bytes;
    for (int i = 0; i < CODES; i++) {
        codes[i] = (uint64_t)i;
        ids[i] = 100 + i;
    }
    REQUIRE(liam_xnor_prepared_bytes(CODES, FEATURES, &bytes) == LIAM_OK);
    void *prepared = aligned(bytes);
    REQUIRE(liam_xnor_prepare(codes, CODES, FEATURES, 1, prepared, bytes) == LIAM_OK);
    f->index = (liam_index){.prepared = prepared, .rows = CODES, .nbits = FEATURES, .ids = ids, .k = NEAREST};
    REQUIRE(oip_runner_of_index(&f->runners[1], &f->index));
}

static fixture *the_fixture(void) {
    static fixture f;
    if (f.network != NULL) return &f;
    make_network(&f);
    make_index(&f);
    f.scratch_bytes = f.runners[1].scratch_bytes;
    REQUIRE(f.runners[0].scratch_bytes <= f.scratch_bytes);
    f.scratch = aligned(f.scratch_bytes);
    f.input = (oip_spec){text("x"), text("FP32"), 4, 0, 2, {-1, FEATURES}, {0}, {0}};
    f.output[0] = (oip_spec){text("label"), text("INT64"), 8, 0, 1, {-1}, text("\x0a\x05label\x12\x05INT64"),
                             text(",\"datatype\":\"INT64\",\"name\":\"label\",\"shape\":[")};
    f.output[1] = (oip_spec){text("scores"), text("FP32"), 4, 0, 2, {-1, CLASSES}, text("\x0a\x06scores\x12\x04""FP32"),
                             text(",\"datatype\":\"FP32\",\"name\":\"scores\",\"shape\":[")};
    f.found[0] = (oip_spec){text("ids"), text("INT64"), 8, 0, 2, {-1, NEAREST}, text("\x0a\x03ids\x12\x05INT64"),
                            text(",\"datatype\":\"INT64\",\"name\":\"ids\",\"shape\":[")};
    f.found[1] = (oip_spec){text("far"), text("INT32"), 4, 0, 2, {-1, NEAREST}, text("\x0a\x03""far\x12\x05INT32"),
                            text(",\"datatype\":\"INT32\",\"name\":\"far\",\"shape\":[")};
    f.pair[0] = (oip_spec){text("a"), text("BOOL"), 1, 1, 1, {-1}, {0}, {0}};
    f.pair[1] = (oip_spec){text("b"), text("INT64"), 8, 0, 0, {0}, {0}, {0}};
    const oip_route network = {
        .input = &f.input, .inputs = 1, .output = f.output, .outputs = 2, .runner = &f.runners[0],
        .label = 0, .max_rows = 100, .direct_rows = 100, .head = text("\x0a\x01m\x12\x01""1"),
        .parameters = text("\x22\x42zz"), /* the parameter ends with the id */
        .stats = &f.stats, .owner = 1, .receipts = UINT64_MAX,
    };
    for (size_t i = 0; i < ROUTES; i++) {
        f.routes[i] = network;
        f.routes[i].owner = (uint32_t)i;
    }
    f.routes[CALLERS].runner = NULL;
    f.routes[CALLERS].input = f.pair;
    f.routes[CALLERS].inputs = 2;
    f.routes[APART].direct_rows = 0;
    f.routes[APART].apart_rows = 10;
    f.routes[INDEX].runner = &f.runners[1];
    f.routes[INDEX].output = f.found;
    f.table = (oip_table){16, 0, f.entries};
    REQUIRE(oip_table_add(&f.table, text("m"), text(""), &f.routes[DIRECT]));
    REQUIRE(oip_table_add(&f.table, text("m"), text("1"), &f.routes[DIRECT]));
    REQUIRE(oip_table_add(&f.table, text("two"), text(""), &f.routes[CALLERS]));
    REQUIRE(oip_table_add(&f.table, text("l"), text(""), &f.routes[APART]));
    REQUIRE(oip_table_add(&f.table, text("i"), text(""), &f.routes[INDEX]));
    f.labels = (oip_labels){.limit = 5, .capacity = 40, .ids = malloc(5 * OIP_ID_BYTES),
                            .owners = malloc(5 * sizeof(uint32_t)), .rows = malloc(5 * sizeof(uint32_t)),
                            .values = malloc(40 * sizeof(int64_t))};
    f.receipts = (oip_receipts){.capacity = 3, .records = malloc(3 * sizeof(oip_receipt))};
    return &f;
}

static void check_span(oip_span span, size_t size) { REQUIRE(span.at <= size && span.size <= size - span.at); }

static int check_read(const uint8_t *data, size_t size) {
    oip_request request;
    if (!oip_read(data, size, &request)) return 0;
    check_span(request.model, size);
    check_span(request.version, size);
    check_span(request.id, size);
    REQUIRE(request.inputs <= OIP_MAX_TENSORS && request.outputs <= OIP_MAX_TENSORS);
    for (size_t i = 0; i < request.inputs; i++) {
        check_span(request.input[i].name, size);
        check_span(request.input[i].datatype, size);
        check_span(request.input[i].raw, size);
        REQUIRE(request.input[i].dims <= OIP_MAX_DIMS);
        for (size_t k = 0; k < request.input[i].dims; k++) REQUIRE(request.input[i].shape[k] >= 0);
    }
    for (size_t i = 0; i < request.outputs; i++) check_span(request.output[i], size);
    return 1;
}

/* Walks an answer field by field. After a caller's own run the outputs' elements are not there, but their headers are. */
static void check_written(const oip_server *server, const oip_call *call, size_t written, int begun) {
    const uint8_t *answer = server->answer;
    size_t at = 0, raws = 0;
    while (at < written) {
        const uint8_t tag = answer[at++];
        REQUIRE((tag & 7) == 2 && tag >> 3 >= 1 && tag >> 3 <= 6);
        uint64_t size = 0;
        for (unsigned shift = 0;; shift += 7) {
            REQUIRE(at < written && shift < 64);
            size |= (uint64_t)(answer[at] & 0x7f) << shift;
            if (answer[at++] < 0x80) break;
        }
        if (tag >> 3 == 6) {
            REQUIRE(raws < call->choices);
            raws++;
            if (begun) {
                REQUIRE(call->cuts[raws - 1] == at);
                continue;
            }
        }
        REQUIRE(size <= written - at);
        at += size;
    }
    REQUIRE(at == written && raws == call->choices);
}

/* Runs a call in memory of its own, and finishes it: there is room for that. */
static int64_t run_apart(fixture *f, oip_server *server, oip_call *call, const uint8_t *data, size_t size) {
    REQUIRE(call->route == &f->routes[APART] && call->rows <= 10);
    const size_t bytes = oip_outputs_bytes(call);
    REQUIRE(bytes == call->rows * (sizeof(int64_t) + CLASSES * sizeof(float)));
    uint8_t *memory = malloc(bytes);
    oip_result results[OIP_MAX_TENSORS];
    REQUIRE(memory != NULL && oip_run(call, data, memory, results, f->scratch, f->scratch_bytes));
    const int64_t written = oip_finish_whole(server, call, data, size, results);
    REQUIRE(written > 0);
    free(memory);
    return written;
}

static int check_answer(fixture *f, const uint8_t *data, size_t size, size_t room) {
    oip_server server = {.labels = &f->labels, .receipts = &f->receipts, .answer = malloc(room + 1),
                         .answer_bytes = room, .scratch = f->scratch, .scratch_bytes = f->scratch_bytes};
    oip_call call = {0};
    const uint8_t key[OIP_KEY_BYTES] = {0};
    REQUIRE(oip_issuer_init(&server.issuer, key, sizeof key, (const uint8_t *)"edge", 4, 1, 0, &f->sequence));
    const uint64_t issued = f->sequence, counted = f->stats.requests;
    int64_t written = oip_answer(&server, &f->table, &call, data, size);
    const int begun = written == OIP_BEGUN;
    if (begun) {
        REQUIRE(call.route == &f->routes[CALLERS] || (call.route == &f->routes[APART]));
        const int64_t labels[2] = {1, 2};
        const oip_result results[2] = {{(const uint8_t *)labels, sizeof labels, 1, {2}},
                                       {(const uint8_t *)labels, 12, 2, {1, 3}}};
        written = oip_finish(&server, &call, data, size, results);
        REQUIRE(written > 0); /* what was begun has room */
    } else if (written == OIP_LONG) {
        written = run_apart(f, &server, &call, data, size);
    }
    if (written > 0) check_written(&server, &call, (size_t)written, begun);
    REQUIRE(written == OIP_PASS || (written > 0 && (size_t)written <= room));
    REQUIRE(f->sequence == issued + (written > 0) && f->stats.requests == counted + (written > 0));
    free(server.answer);
    if (f->labels.count == f->labels.limit) f->labels.count = f->labels.used = 0;
    if (f->sequence % 7 == 0) f->receipts.taken = f->receipts.written;
    return written > 0;
}

const oip_table *oip_target_server(oip_server *server, uint8_t *answer, size_t answer_bytes) {
    fixture *f = the_fixture();
    const uint8_t key[OIP_KEY_BYTES] = {0};
    f->labels.count = f->labels.used = 0;
    *server = (oip_server){.labels = &f->labels, .receipts = &f->receipts, .answer = answer,
                           .answer_bytes = answer_bytes, .scratch = f->scratch, .scratch_bytes = f->scratch_bytes};
    REQUIRE(oip_issuer_init(&server->issuer, key, sizeof key, (const uint8_t *)"edge", 4, 1, 0, &f->sequence));
    return &f->table;
}

int oip_target(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + (size == 0)); /* exactly as long, so that reading past it is found */
    if (size != 0) memcpy(copy, data, size);
    const int accepted = check_read(copy, size);
    const int answered = check_answer(the_fixture(), copy, size, 600);
    (void)check_answer(the_fixture(), copy, size, size % 250);
    free(copy);
    REQUIRE(accepted || !answered);
    return answered;
}
