/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory behind a trial's operands.
 */
#include "liam_trial_memory.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

#define CANARY 0xa5

static const size_t bytes_of[] = {
    [BYTES] = 1, [SHORTS] = 2, [INTS] = 4, [LONGS] = 8, [WORDS] = 8, [FLOATS] = 4, [DOUBLES] = 8, [ANY_FLOATS] = 4,
    [ANY_DOUBLES] = 8, [INT_POSITIONS] = 4, [LONG_POSITIONS] = 8, [HITS] = 16, [PANELS] = 8,
};

uint64_t trial_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t operand_element(const operand *o) { return bytes_of[o->kind]; }

int operand_is_empty(const operand *o) { return o->rows == 0 || o->width == 0; }

static float draw_float(uint64_t random) {
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 0x1p-149f, 0x1p-126f, 1e10f, 0.5f};
    return random % 8 == 0 ? special[random >> 8 & 7] : (float)(int32_t)(random >> 32) * 0x1p-31f;
}

static void fill_row(const operand *o, uint8_t *row, size_t bytes, uint64_t style, uint64_t *state) {
    const size_t step = bytes_of[o->kind];
    for (size_t at = 0; at + step <= bytes; at += step) {
        uint64_t value[2] = {trial_random(state), 0};
        const float single = draw_float(value[0]);
        const double real = (double)single;
        switch (o->kind) {
        case WORDS: /* sparse and dense rows too, for elimination and counters */
            if (style % 8 == 0) value[0] &= trial_random(state) & trial_random(state) & trial_random(state);
            if (style % 8 == 1) value[0] = (uint64_t)0 - (style >> 8 & 1);
            break;
        case FLOATS: memcpy(value, &single, sizeof single); break;
        case DOUBLES: memcpy(value, &real, sizeof real); break;
        case INT_POSITIONS:
        case LONG_POSITIONS: value[0] = o->limit == 0 ? 0 : (value[0] >> 1) % o->limit; break;
        case HITS: value[1] = o->limit == 0 ? 0 : (trial_random(state) >> 1) % o->limit; break;
        default: break;
        }
        memcpy(row + at, value, step);
    }
}

/* Prepared weights hold what preparation wrote, whose missing rows and excess bits are zero. */
static void fill_panels(trial *t, operand *o, uint64_t *state) {
    const size_t words = (o->nbits + 63) / 64, count = o->n * words;
    uint64_t *weights = malloc(count * sizeof *weights);
    REQUIRE(t, weights != NULL);
    for (size_t k = 0; k < count; k++) weights[k] = trial_random(state);
    REQUIRE(t, liam_xnor_prepare(weights, o->n, o->nbits, words, o->at, (size_t)o->width * 8) == LIAM_OK);
    free(weights);
}

static size_t row_bytes(const operand *o) { return (o->is_block ? o->bytes : (size_t)o->width) * bytes_of[o->kind]; }

static uint8_t *row_at(const operand *o, size_t i) { return (uint8_t *)o->at + i * o->stride * bytes_of[o->kind]; }

/* Makes what lies before, between and behind the rows inaccessible, as far as words go, or accessible. */
static void guard(const operand *o, int on) {
    uint8_t *from = o->memory;
    for (size_t i = 0; i <= (size_t)o->rows; i++) {
        uint8_t *to = i < o->rows ? row_at(o, i) : o->memory + o->memory_bytes;
        uint8_t *start = from + (uintptr_t)-(uintptr_t)from % 8;
        if (start < to && on) ASAN_POISON_MEMORY_REGION(start, (size_t)(to - start) / 8 * 8);
        if (i < o->rows) from = to + row_bytes(o);
    }
    if (!on) ASAN_UNPOISON_MEMORY_REGION(o->memory, o->memory_bytes);
}

static uint64_t digest_bytes(uint64_t digest, const uint8_t *bytes, size_t count) { /* FNV-1a, by words */
    for (; count >= 8; count -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        digest = (digest ^ word) * UINT64_C(0x100000001b3);
        digest ^= digest >> 29;
    }
    while (count-- > 0) digest = (digest ^ *bytes++) * UINT64_C(0x100000001b3);
    return digest;
}

static uint64_t digest_rows(uint64_t digest, const operand *o) {
    for (size_t i = 0; i < (size_t)o->rows; i++) digest = digest_bytes(digest, row_at(o, i), row_bytes(o));
    return digest;
}

/* Bytes from the first to the last one of the rows; more than there is room for, if they are too many. */
size_t operand_span(const operand *o) {
    if (operand_is_empty(o)) return 0;
    const wide most = ROOM;
    if (o->rows > most || o->width > most) return ROOM + 1;
    if (o->rows > 1 && o->stride > ROOM) return ROOM + 1;
    const wide span = ((o->rows - 1) * o->stride + o->width) * bytes_of[o->kind];
    return span > most ? ROOM + 1 : (size_t)span;
}

void operand_allocate(trial *t, operand *o) {
    uint64_t state = trial_draw(t);
    const size_t span = o->is_block ? o->bytes : operand_span(o);
    const size_t step = bytes_of[o->kind] > 8 ? 8 : bytes_of[o->kind];
    size_t lead = (size_t)(state >> 8) % (64 / step) * step;
    if (o->is_aligned) lead = o->is_misaligned ? 8 : 0;
    o->memory_bytes = lead + span;
    REQUIRE(t, posix_memalign((void **)&o->memory, LIAM_ALIGNMENT, o->memory_bytes) == 0);
    memset(o->memory, CANARY, o->memory_bytes);
    o->at = o->memory + lead;
    const uint64_t style = trial_random(&state);
    if (o->kind == PANELS && !o->is_misaligned) fill_panels(t, o, &state);
    for (size_t i = 0; i < (size_t)o->rows && o->kind != PANELS; i++) {
        const int again = style % 8 == 2 && i >= 3 && o->kind == WORDS; /* rows that depend on others */
        if (again) memcpy(row_at(o, i), row_at(o, trial_random(&state) % 3), row_bytes(o));
        if (!again && o->use != SCRATCH) fill_row(o, row_at(o, i), row_bytes(o), style, &state);
    }
    o->before = digest_bytes(0, o->memory, o->memory_bytes);
    guard(o, 1);
}

/* Nothing but the rows of outputs was written, and on errors not even they. */
void operand_inspect(trial *t, operand *o) {
    guard(o, 0);
    const uint64_t after = digest_bytes(0, o->memory, o->memory_bytes);
    if (o->use == IN || (t->status != LIAM_OK && o->use == OUT)) REQUIRE(t, after == o->before);
    const uint8_t *from = o->memory;
    for (size_t i = 0; i <= (size_t)o->rows; i++) {
        const uint8_t *to = i < o->rows ? row_at(o, i) : o->memory + o->memory_bytes;
        for (; from < to; from++) REQUIRE(t, *from == CANARY);
        from = to + (i < o->rows ? row_bytes(o) : 0);
    }
    if (t->status == LIAM_OK && o->use == OUT) t->digest = digest_rows(t->digest, o);
}
