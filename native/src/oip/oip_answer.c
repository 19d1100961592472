/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request to its answer: read it, find its route, hold it against the route's tensors, run the network into the
 * answer's own bytes, name the prediction, count. Nothing is issued, kept or counted before the answer is certain.
 */
#include <string.h>

#include "oip.h"
#include "oip_keep.h"
#include "oip_wire.h"
#include "sizes.h"

/* Tags of what is written here; the other fields come ready-made with the route. */
enum {
    LEN = 2,
    ANSWER_ID = 3 << 3 | LEN,
    ANSWER_OUTPUT = 5 << 3 | LEN,
    ANSWER_RAW = 6 << 3 | LEN,
    OUTPUT_SHAPE = 3 << 3 | LEN
};

uint32_t oip_abi_version(void) { return OIP_ABI_VERSION; }

static int equals(const uint8_t *data, oip_span span, oip_text text) {
    return span.size == text.size && (span.size == 0 || memcmp(data + span.at, text.at, span.size) == 0);
}

static int fits(const uint8_t *data, const oip_tensor *tensor, const oip_spec *spec) {
    if (!equals(data, tensor->datatype, spec->datatype) || tensor->dims != spec->dims) return 0;
    size_t bytes = spec->width;
    for (size_t i = 0; i < tensor->dims; i++) {
        const int64_t size = tensor->shape[i];
        if (size <= 0 || (spec->shape[i] != -1 && spec->shape[i] != size)) return 0;
        if (!size_mul(bytes, (size_t)size, &bytes)) return 0;
    }
    if (bytes != tensor->raw.size) return 0;
    if (spec->boolean) {
        for (size_t i = 0; i < bytes; i++) {
            if (data[tensor->raw.at + i] > 1) return 0;
        }
    }
    return 1;
}

/* Finds each input of the route in the request. As many are there, so that none is left over. */
static int match_inputs(oip_call *call, const oip_route *route, const uint8_t *data) {
    const oip_request *request = &call->request;
    if (request->inputs != route->inputs || route->inputs > OIP_MAX_TENSORS) return 0;
    for (size_t i = 0; i < route->inputs; i++) {
        size_t place = 0;
        while (place < request->inputs && !equals(data, request->input[place].name, route->input[i].name)) place++;
        if (place == request->inputs || !fits(data, &request->input[place], &route->input[i])) return 0;
        call->given[i] = place;
    }
    const oip_tensor *first = route->inputs == 0 ? NULL : &request->input[call->given[0]];
    call->rows = first == NULL || first->dims == 0 ? 1 : (size_t)first->shape[0];
    for (size_t i = 1; i < route->inputs; i++) { /* one number of rows says what a run costs */
        if (route->input[i].dims == 0 || route->input[i].shape[0] != -1) continue;
        if ((size_t)request->input[call->given[i]].shape[0] != call->rows) return 0;
    }
    return call->rows <= route->max_rows;
}

static int match_outputs(oip_call *call, const oip_route *route, const uint8_t *data) {
    const oip_request *request = &call->request;
    if (route->outputs > OIP_MAX_TENSORS) return 0;
    if (request->outputs == 0) {
        for (size_t i = 0; i < route->outputs; i++) call->chosen[i] = i;
        call->choices = route->outputs;
        return 1;
    }
    for (size_t i = 0; i < request->outputs; i++) {
        size_t place = 0;
        while (place < route->outputs && !equals(data, request->output[i], route->output[place].name)) place++;
        if (place == route->outputs) return 0;
        for (size_t k = 0; k < i; k++) {
            if (call->chosen[k] == place) return 0;
        }
        call->chosen[i] = place;
    }
    call->choices = request->outputs;
    return 1;
}

static int is_wanted(const oip_call *call, const oip_route *route) {
    const oip_text pin = call->pin, digest = route->digest;
    return pin.at == NULL || (pin.size > 0 && pin.size == digest.size && memcmp(pin.at, digest.at, pin.size) == 0);
}

static int begin(oip_call *call, const oip_table *table, const uint8_t *data, size_t size) {
    oip_request *request = &call->request;
    call->route = NULL;
    call->started_ns = oip_now();
    if (!oip_read(data, size, request)) return 0;
    const oip_text model = {data + request->model.at, request->model.size};
    const oip_text version = {data + request->version.at, request->version.size};
    const oip_route *route = oip_table_find(table, model, version);
    if (route == NULL || !is_wanted(call, route) || !match_inputs(call, route, data) || !match_outputs(call, route, data)) return 0;
    call->route = route;
    call->read_ns = oip_now();
    return 1;
}

/* Whether the writer has room for everything but the outputs' elements, whatever shapes a run gives them. */
static int has_room(const oip_server *server, const oip_call *call) {
    enum { VARINT = 10, AROUND = 4 + (4 + OIP_MAX_DIMS) * VARINT };
    const oip_route *route = call->route;
    size_t left = server->answer_bytes;
    const size_t fixed[] = {route->head.size, call->request.id.size, route->parameters.size, 1 + VARINT + OIP_ID_TEXT};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i] > left) return 0;
        left -= fixed[i];
    }
    for (size_t i = 0; i < call->choices; i++) {
        const size_t field = route->output[call->chosen[i]].field.size;
        if (field > left || left - field < AROUND) return 0;
        left -= field + AROUND;
    }
    return 1;
}

static void put_descriptor(writer *w, const oip_spec *spec, const int64_t *shape, size_t dims) {
    size_t packed = 0;
    for (size_t i = 0; i < dims; i++) packed += varint_size((uint64_t)shape[i]);
    put_byte(w, ANSWER_OUTPUT);
    put_varint(w, spec->field.size + (packed == 0 ? 0 : 1 + varint_size(packed) + packed));
    put_bytes(w, spec->field.at, spec->field.size);
    if (packed == 0) return;
    put_byte(w, OUTPUT_SHAPE);
    put_varint(w, packed);
    for (size_t i = 0; i < dims; i++) put_varint(w, (uint64_t)shape[i]);
}

/* Writes everything before the first output's elements; returns the place of the id's characters. */
static uint8_t *put_head(writer *w, const oip_call *call, const uint8_t *data, const oip_result *results) {
    const oip_route *route = call->route;
    const oip_span id = call->request.id;
    put_bytes(w, route->head.at, route->head.size);
    if (id.size != 0) {
        put_byte(w, ANSWER_ID);
        put_varint(w, id.size);
        put_bytes(w, data + id.at, id.size);
    }
    put_bytes(w, route->parameters.at, route->parameters.size);
    uint8_t *text = reserve(w, OIP_ID_TEXT);
    for (size_t i = 0; i < call->choices; i++) {
        const size_t place = call->chosen[i];
        put_descriptor(w, &route->output[place], results[place].shape, results[place].dims);
    }
    return text;
}

/* Names and counts an answer that is certain. */
static void settle(oip_server *server, oip_call *call, uint8_t *text, const uint8_t *data, size_t size,
                   const oip_result *results, uint64_t ran_ns) {
    const oip_route *route = call->route;
    oip_issue(&server->issuer, route->subject, ran_ns, call->id);
    oip_id_text(call->id, text);
    if (route->label >= 0 && (size_t)route->label < route->outputs) {
        const oip_result *labels = &results[route->label];
        oip_keep_labels(server->labels, call->id, route->owner, labels->data, labels->size / sizeof(int64_t));
    }
    if (oip_is_kept(server->receipts, route, call->id)) {
        oip_sha256 outputs;
        oip_sha256_init(&outputs);
        for (size_t i = 0; i < call->choices; i++) {
            const oip_result *one = &results[call->chosen[i]];
            oip_hash_output(&outputs, &route->output[call->chosen[i]], one->shape, one->dims, one->data, one->size);
        }
        oip_keep_receipt(server->receipts, route, call->id, data, size, &outputs);
    }
    oip_count(route->stats, call->rows, call->started_ns, call->read_ns, ran_ns, oip_now());
}

static int64_t run_network(oip_server *server, oip_call *call, const uint8_t *data, size_t size) {
    const oip_route *route = call->route;
    const size_t rows = call->rows;
    uint8_t *place[2] = {NULL, NULL};
    oip_result results[2] = {
        {.dims = 1, .shape = {(int64_t)rows}},
        {.dims = 2, .shape = {(int64_t)rows, (int64_t)route->classes}},
    };
    if (route->outputs != 2 || route->inputs != 1 || !size_mul(rows, sizeof(int64_t), &results[0].size) ||
        !size_mul(rows, route->classes, &results[1].size) ||
        !size_mul(results[1].size, sizeof(float), &results[1].size)) {
        return OIP_PASS;
    }
    writer w = {server->answer, 0, server->answer_bytes, 0};
    uint8_t *text = put_head(&w, call, data, results);
    for (size_t i = 0; i < call->choices; i++) {
        const size_t output = call->chosen[i];
        put_byte(&w, ANSWER_RAW);
        put_varint(&w, results[output].size);
        place[output] = reserve(&w, results[output].size);
    }
    const size_t answered = w.at;
    for (size_t i = 0; i < 2; i++) { /* what nobody asked for is written behind the answer */
        if (place[i] == NULL) place[i] = reserve(&w, results[i].size);
        results[i].data = place[i];
    }
    if (w.full) return OIP_PASS;
    const uint8_t *x = data + call->request.input[0].raw.at;
    if (liam_network_run(route->network, x, rows, place[0], place[1], server->scratch, server->scratch_bytes) !=
        LIAM_OK) {
        return OIP_PASS;
    }
    settle(server, call, text, data, size, results, oip_now());
    return (int64_t)answered;
}

int64_t oip_answer(oip_server *server, const oip_table *table, oip_call *call, const uint8_t *data, size_t size) {
    if (!begin(call, table, data, size)) return OIP_PASS;
    if (call->route->network == NULL) return has_room(server, call) ? OIP_BEGUN : OIP_PASS;
    const int64_t written = run_network(server, call, data, size);
    call->route = NULL;
    return written;
}

static int64_t finish(oip_server *server, oip_call *call, const uint8_t *data, size_t size, const oip_result *results,
                      int whole) {
    const oip_route *route = call->route;
    const uint64_t ran_ns = oip_now();
    if (route == NULL) return OIP_PASS;
    for (size_t i = 0; i < route->outputs; i++) {
        if (results[i].dims > OIP_MAX_DIMS) return OIP_PASS;
    }
    writer w = {server->answer, 0, server->answer_bytes, 0};
    uint8_t *text = put_head(&w, call, data, results);
    for (size_t i = 0; i < call->choices; i++) {
        put_byte(&w, ANSWER_RAW);
        put_varint(&w, results[call->chosen[i]].size);
        call->cuts[i] = w.at;
        if (whole) put_bytes(&w, results[call->chosen[i]].data, results[call->chosen[i]].size);
    }
    if (w.full) return OIP_PASS;
    settle(server, call, text, data, size, results, ran_ns);
    call->route = NULL;
    return (int64_t)w.at;
}

int64_t oip_finish(oip_server *server, oip_call *call, const uint8_t *data, size_t size, const oip_result *results) {
    return finish(server, call, data, size, results, 0);
}

int64_t oip_finish_whole(oip_server *server, oip_call *call, const uint8_t *data, size_t size,
                         const oip_result *results) {
    return finish(server, call, data, size, results, 1);
}
