/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a ModelInferRequest to the places of its parts. What is not accepted is not wrong: the caller asks
 * a reader that knows the whole protocol.
 */
#include "oip.h"
#include "oip_wire.h"

/* Tags: field number and wire type, which are one byte for all fields of these messages. */
enum {
    VARINT = 0,
    FIXED64 = 1,
    BYTES = 2,
    MODEL_NAME = 1 << 3 | BYTES,
    MODEL_VERSION = 2 << 3 | BYTES,
    ID = 3 << 3 | BYTES,
    PARAMETERS = 4 << 3 | BYTES,
    INPUTS = 5 << 3 | BYTES,
    OUTPUTS = 6 << 3 | BYTES,
    RAW_INPUT_CONTENTS = 7 << 3 | BYTES,
    TENSOR_NAME = 1 << 3 | BYTES,
    TENSOR_DATATYPE = 2 << 3 | BYTES,
    TENSOR_SHAPE = 3 << 3 | VARINT,
    TENSOR_SHAPE_PACKED = 3 << 3 | BYTES,
    ENTRY_KEY = 1 << 3 | BYTES,
    ENTRY_VALUE = 2 << 3 | BYTES,
    BOOL_PARAM = 1 << 3 | VARINT,
    INT64_PARAM = 2 << 3 | VARINT,
    STRING_PARAM = 3 << 3 | BYTES,
    DOUBLE_PARAM = 4 << 3 | FIXED64,
    UINT64_PARAM = 5 << 3 | VARINT
};

/* The largest message that protobuf knows. */
#define MAX_MESSAGE ((size_t)INT32_MAX)

int oip_is_utf8(const uint8_t *bytes, size_t size) {
    size_t i = 0;
    while (i < size) {
        uint64_t eight;
        if (size - i >= sizeof eight) {
            memcpy(&eight, bytes + i, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += sizeof eight;
                continue;
            }
        }
        const uint8_t first = bytes[i];
        if (first < 0x80) {
            i++;
            continue;
        }
        if (first < 0xc2 || first > 0xf4) return 0;
        const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        if (length > size - i) return 0;
        const uint8_t second = bytes[i + 1];
        const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (second < low || second > high) return 0;
        for (size_t k = 2; k < length; k++) {
            if ((bytes[i + k] & 0xc0) != 0x80) return 0;
        }
        i += length;
    }
    return 1;
}

static int read_text(reader *r, oip_span *text) {
    return read_bytes(r, &text->at, &text->size) && oip_is_utf8(r->data + text->at, text->size);
}

/* A text that may come once: seen collects a bit for each that came. */
static int read_once(reader *r, oip_span *text, unsigned *seen, unsigned bit) {
    if (*seen & bit) return 0;
    *seen |= bit;
    return read_text(r, text);
}

static int read_dimension(reader *r, oip_tensor *tensor) {
    uint64_t size;
    if (tensor->dims == OIP_MAX_DIMS || !read_varint(r, &size) || size > INT64_MAX) return 0;
    tensor->shape[tensor->dims++] = (int64_t)size;
    return 1;
}

static int read_shape(reader *r, oip_tensor *tensor) {
    size_t at, size;
    if (!read_bytes(r, &at, &size)) return 0;
    reader part = {r->data, at, at + size};
    while (!at_end(&part)) {
        if (!read_dimension(&part, tensor)) return 0;
    }
    return 1;
}

static int read_input(reader *r, oip_tensor *tensor) {
    size_t at, size;
    unsigned seen = 0;
    if (!read_bytes(r, &at, &size)) return 0;
    reader part = {r->data, at, at + size};
    tensor->name = tensor->datatype = tensor->raw = (oip_span){0, 0};
    tensor->dims = 0;
    while (!at_end(&part)) {
        uint8_t tag;
        int understood = read_byte(&part, &tag);
        switch (tag) {
            case TENSOR_NAME: understood = read_once(&part, &tensor->name, &seen, 1); break;
            case TENSOR_DATATYPE: understood = read_once(&part, &tensor->datatype, &seen, 2); break;
            case TENSOR_SHAPE: understood = read_dimension(&part, tensor); break;
            case TENSOR_SHAPE_PACKED: understood = read_shape(&part, tensor); break;
            default: understood = 0;
        }
        if (!understood) return 0;
    }
    return 1;
}

static int read_output(reader *r, oip_span *name) {
    size_t at, size;
    if (!read_bytes(r, &at, &size)) return 0;
    reader part = {r->data, at, at + size};
    uint8_t tag;
    return read_byte(&part, &tag) && tag == TENSOR_NAME && read_text(&part, name) && at_end(&part);
}

static int starts_with(const uint8_t *bytes, size_t size, const char *start) {
    const size_t length = strlen(start);
    return size >= length && memcmp(bytes, start, length) == 0;
}

/* Whether a parameter of this name belongs to the caller alone, whatever its value is. */
static int is_callers(const uint8_t *name, size_t size) {
    return !starts_with(name, size, "sequence_") && !starts_with(name, size, "priority") &&
           !starts_with(name, size, "timeout") && !starts_with(name, size, "triton_");
}

static int read_choice(reader *r) {
    uint8_t tag;
    uint64_t number;
    oip_span text;
    if (!read_byte(r, &tag)) return 0; /* a parameter without a value */
    switch (tag) {
        case BOOL_PARAM: return read_varint(r, &number) && number <= 1;
        case INT64_PARAM:
        case UINT64_PARAM: return read_varint(r, &number);
        case STRING_PARAM: return read_text(r, &text);
        case DOUBLE_PARAM:
            if (r->end - r->at < 8) return 0;
            r->at += 8;
            return 1;
        default: return 0;
    }
}

static int read_parameter(reader *r) {
    size_t at, size;
    uint8_t tag;
    oip_span name, value;
    if (!read_bytes(r, &at, &size)) return 0;
    reader entry = {r->data, at, at + size};
    if (!read_byte(&entry, &tag) || tag != ENTRY_KEY || !read_text(&entry, &name)) return 0;
    if (!is_callers(r->data + name.at, name.size)) return 0;
    if (!read_byte(&entry, &tag) || tag != ENTRY_VALUE || !read_bytes(&entry, &value.at, &value.size)) return 0;
    reader choice = {r->data, value.at, value.at + value.size};
    return at_end(&entry) && read_choice(&choice) && at_end(&choice);
}

int oip_read(const uint8_t *data, size_t size, oip_request *request) {
    if (size > MAX_MESSAGE || data == NULL) return OIP_PASS;
    reader r = {data, 0, size};
    unsigned seen = 0;
    size_t buffers = 0;
    oip_span raw[OIP_MAX_TENSORS];
    request->model = request->version = request->id = (oip_span){0, 0};
    request->inputs = request->outputs = request->parameters = 0;
    while (!at_end(&r)) {
        uint8_t tag;
        int understood = read_byte(&r, &tag);
        switch (tag) {
            case MODEL_NAME: understood = read_once(&r, &request->model, &seen, 1); break;
            case MODEL_VERSION: understood = read_once(&r, &request->version, &seen, 2); break;
            case ID: understood = read_once(&r, &request->id, &seen, 4); break;
            case PARAMETERS:
                understood = read_parameter(&r);
                request->parameters++;
                break;
            case INPUTS:
                understood = request->inputs < OIP_MAX_TENSORS && read_input(&r, &request->input[request->inputs]);
                request->inputs++;
                break;
            case OUTPUTS:
                understood = request->outputs < OIP_MAX_TENSORS && read_output(&r, &request->output[request->outputs]);
                request->outputs++;
                break;
            case RAW_INPUT_CONTENTS:
                understood = buffers < OIP_MAX_TENSORS && read_bytes(&r, &raw[buffers].at, &raw[buffers].size);
                buffers++;
                break;
            default: understood = 0;
        }
        if (!understood) return OIP_PASS;
    }
    if (buffers != request->inputs) return OIP_PASS;
    for (size_t i = 0; i < buffers; i++) request->input[i].raw = raw[i];
    return 1;
}
