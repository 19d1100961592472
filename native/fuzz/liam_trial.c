/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands of a trial: how they are drawn, which statuses they deserve, and the memory behind them.
 */
#include "liam_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

#define CANARY 0xa5
#define ROOM ((size_t)1 << 18)      /* bytes that a trial's operand may have */
#define PATIENCE ((wide)1 << 20)     /* steps that a call may take */
#define NOWHERE ((uintptr_t)1 << 12) /* an address where nothing is ever mapped */

static const size_t bytes_of[] = {
    [BYTES] = 1, [SHORTS] = 2, [INTS] = 4, [LONGS] = 8, [WORDS] = 8, [FLOATS] = 4, [DOUBLES] = 8, [ANY_FLOATS] = 4,
    [ANY_DOUBLES] = 8, [INT_POSITIONS] = 4, [LONG_POSITIONS] = 8, [HITS] = 16, [PANELS] = 8,
};

#define REQUIRE(t, condition)                                                                                    \
    do {                                                                                                         \
        if (!(condition)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s at level %s, status %d (must %x, may %x, either %x): %s\n", __FILE__,      \
                    __LINE__, (t)->name, liam_level_name(liam_level()), (t)->status, (t)->must, (t)->may,           \
                    (t)->either, #condition);                                                                    \
            abort();                                                                                             \
        }                                                                                                        \
    } while (0)

/* ---- Drawing ------------------------------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state) { /* SplitMix64 (Steele, Lea, Flood 2014) */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t trial_draw(trial *t) {
    uint64_t value = 0;
    if (t->size < sizeof value) return next(&t->state);
    memcpy(&value, t->data, sizeof value);
    t->data += sizeof value;
    t->size -= sizeof value;
    return value;
}

int trial_chance(trial *t, unsigned one_in) { return trial_draw(t) % one_in == 0; }

/* A size at which some arithmetic overflows, or one past it. */
static size_t border(trial *t) {
    static const size_t borders[] = {SIZE_MAX, PTRDIFF_MAX, LIAM_MAX_NBITS, UINT32_MAX, INT32_MAX, 65535, 65536};
    const uint64_t pick = trial_draw(t);
    const size_t start = borders[pick % 7] >> (pick >> 8) % 8;
    return pick >> 16 & 1 ? (size_t)trial_draw(t) >> (pick >> 24) % 64 : start + (size_t)(pick >> 24) % 3 - 1;
}

size_t trial_count(trial *t) {
    const uint64_t pick = trial_draw(t);
    if (pick % 16 == 0) return border(t);
    return (size_t)(pick >> 8) % (pick % 16 < 12 ? 9 : 70);
}

size_t trial_nbits(trial *t) {
    static const size_t telling[] = {0, 1, 63, 64, 65, 127, 128, 512, 1023, 1024};
    const uint64_t pick = trial_draw(t);
    size_t nbits = (size_t)(pick >> 8) % (pick % 8 == 1 ? 1200 : 150);
    if (pick % 16 == 0) nbits = border(t);
    if (pick % 4 == 3) nbits = telling[(pick >> 8) % 10];
    trial_rule(t, nbits <= LIAM_MAX_NBITS, LIAM_ERR_SIZE);
    return nbits;
}

/* ---- Describing ---------------------------------------------------------------------------------------------- */

static size_t draw_stride(trial *t, const operand *o) {
    const uint64_t pick = trial_draw(t);
    const wide most = (wide)PTRDIFF_MAX / bytes_of[o->kind];
    const size_t width = o->width > SIZE_MAX ? SIZE_MAX : (size_t)o->width;
    switch (pick % 32) {
    case 0: return width - (width != 0);
    case 1: return 0;
    case 2: return border(t);
    case 3: return o->rows == 0 ? border(t) : (size_t)(most / o->rows) + (size_t)(pick >> 8) % 3 - 1;
    default: return width + (pick % 2 ? 0 : (size_t)(pick >> 8) % 4);
    }
}

static operand *add(trial *t, operand_use use, operand_kind kind, wide rows, wide width) {
    operand *o = &t->operands[t->count++];
    REQUIRE(t, t->count <= TRIAL_OPERANDS);
    *o = (operand){.use = use, .kind = kind, .rows = rows, .width = width, .limit = SIZE_MAX};
    o->stride = width > SIZE_MAX ? SIZE_MAX : (size_t)width;
    o->is_null = trial_chance(t, 40);
    return o;
}

operand *trial_matrix(trial *t, operand_use use, operand_kind kind, wide rows, wide width) {
    operand *o = trial_dense(t, use, kind, rows, width);
    o->stride = draw_stride(t, o);
    return o;
}

operand *trial_dense(trial *t, operand_use use, operand_kind kind, wide rows, wide width) {
    operand *o = add(t, use, kind, rows, width);
    o->overflow_is_found = 1;
    return o;
}

operand *trial_bits(trial *t, operand_use use, wide rows, wide nbits) {
    return trial_matrix(t, use, WORDS, rows, (nbits + 63) / 64);
}

operand *trial_vector(trial *t, operand_use use, operand_kind kind, wide count) {
    return add(t, use, kind, count != 0, count);
}

static operand *aligned(trial *t, operand *o) {
    o->is_aligned = 1;
    o->is_misaligned = trial_chance(t, 40);
    return o;
}

operand *trial_block(trial *t, operand_use use, int status, size_t needed) {
    operand *o = aligned(t, add(t, use, BYTES, status == LIAM_OK && needed != 0, needed));
    const uint64_t pick = trial_draw(t);
    o->is_block = 1;
    o->bytes = needed;
    if (pick % 16 == 0) o->bytes += (size_t)(pick >> 8) % 100;
    if (pick % 16 == 1 && needed != 0) o->bytes -= 1 + (size_t)(pick >> 8) % (needed < 100 ? needed : 100);
    trial_rule(t, status == LIAM_OK, status);
    return o;
}

operand *trial_prepared(trial *t, size_t n, size_t nbits) {
    const wide rows = ((wide)n + 15) / 16 * 16, words = ((wide)nbits + 63) / 64;
    operand *o = aligned(t, add(t, IN, PANELS, rows * words != 0, rows * words));
    o->n = n;
    o->nbits = nbits;
    o->overflow_is_found = 1;
    trial_fits(t, (wide)n + 15);
    return o;
}

operand *trial_optional(operand *o) {
    o->is_optional = 1;
    return o;
}

operand *trial_below(operand *o, size_t limit) {
    o->limit = limit;
    return o;
}

void trial_in_place(trial *t, operand *out, operand *x) {
    if (!trial_chance(t, 6) || out->is_null || x->is_null) return;
    out->same = x;
    out->stride = x->stride;
    x->use = OUT; /* filled, as inputs are */
}

void trial_rule(trial *t, int condition, int status) {
    if (!condition) t->must |= 1u << status;
}

void trial_fits(trial *t, wide bytes) { trial_rule(t, bytes <= PTRDIFF_MAX, LIAM_ERR_OVERFLOW); }

void trial_effort(trial *t, wide steps) {
    if (steps > t->effort) t->effort = steps;
}

void trial_avoid(trial *t, int condition) { t->avoided |= condition; }

/* ---- Which statuses ------------------------------------------------------------------------------------------ */

static int is_empty(const operand *o) { return o->rows == 0 || o->width == 0; }

/* The greatest size with which no product of three wraps. */
static int is_vast(wide size) { return size > (wide)1 << 64; }

static void judge(trial *t, const operand *o) {
    if (o->is_optional && o->is_null) return;
    const wide rows = o->rows, span = is_vast(rows) ? rows : rows * o->stride;
    const int overflows = is_vast(rows) || is_vast(o->width) || span > PTRDIFF_MAX / bytes_of[o->kind];
    if (o->stride < o->width) t->must |= 1u << LIAM_ERR_STRIDE;
    if (overflows && o->overflow_is_found) t->must |= 1u << LIAM_ERR_OVERFLOW;
    if (overflows || rows > PTRDIFF_MAX) t->either |= 1u << LIAM_ERR_OVERFLOW; /* rows of nothing, too many to count */
    unsigned found = 0;
    if (o->is_null) found |= 1u << LIAM_ERR_NULL;
    if (o->is_misaligned && !o->is_null) found |= 1u << LIAM_ERR_ALIGNMENT;
    if (o->is_block && o->bytes < o->width) found |= 1u << LIAM_ERR_MEMORY;
    if (is_empty(o)) {
        t->either |= found & 1u << LIAM_ERR_ALIGNMENT; /* may be found although nothing is there */
    } else {
        t->may |= found;
    }
}

/* Whether nothing is empty. Only then has a function to find what is wrong with memory, because only then must it touch
 * all of it. */
static int is_busy(const trial *t) {
    for (size_t i = 0; i < t->count; i++) {
        const operand *o = &t->operands[i];
        if (is_empty(o) && !o->is_block && !o->is_optional) return 0;
    }
    return 1;
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

static float draw_float(uint64_t random) {
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 0x1p-149f, 0x1p-126f, 1e10f, 0.5f};
    return random % 8 == 0 ? special[random >> 8 & 7] : (float)(int32_t)(random >> 32) * 0x1p-31f;
}

static void fill_row(const operand *o, uint8_t *row, size_t bytes, uint64_t style, uint64_t *state) {
    const size_t step = bytes_of[o->kind];
    for (size_t at = 0; at + step <= bytes; at += step) {
        uint64_t value[2] = {next(state), 0};
        const float single = draw_float(value[0]);
        const double real = (double)single;
        switch (o->kind) {
        case WORDS: /* sparse and dense rows too, for elimination and counters */
            if (style % 8 == 0) value[0] &= next(state) & next(state) & next(state);
            if (style % 8 == 1) value[0] = (uint64_t)0 - (style >> 8 & 1);
            break;
        case FLOATS: memcpy(value, &single, sizeof single); break;
        case DOUBLES: memcpy(value, &real, sizeof real); break;
        case INT_POSITIONS:
        case LONG_POSITIONS: value[0] = o->limit == 0 ? 0 : (value[0] >> 1) % o->limit; break;
        case HITS: value[1] = o->limit == 0 ? 0 : (next(state) >> 1) % o->limit; break;
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
    for (size_t k = 0; k < count; k++) weights[k] = next(state);
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
static size_t span_of(const operand *o) {
    if (is_empty(o)) return 0;
    const wide most = ROOM;
    if (o->rows > most || o->width > most) return ROOM + 1;
    if (o->rows > 1 && o->stride > ROOM) return ROOM + 1;
    const wide span = ((o->rows - 1) * o->stride + o->width) * bytes_of[o->kind];
    return span > most ? ROOM + 1 : (size_t)span;
}

static void allocate(trial *t, operand *o) {
    uint64_t state = trial_draw(t);
    const size_t span = o->is_block ? o->bytes : span_of(o);
    const size_t step = bytes_of[o->kind] > 8 ? 8 : bytes_of[o->kind];
    size_t lead = (size_t)(state >> 8) % (64 / step) * step;
    if (o->is_aligned) lead = o->is_misaligned ? 8 : 0;
    o->memory_bytes = lead + span;
    REQUIRE(t, posix_memalign((void **)&o->memory, LIAM_ALIGNMENT, o->memory_bytes) == 0);
    memset(o->memory, CANARY, o->memory_bytes);
    o->at = o->memory + lead;
    const uint64_t style = next(&state);
    if (o->kind == PANELS && !o->is_misaligned) fill_panels(t, o, &state);
    for (size_t i = 0; i < (size_t)o->rows && o->kind != PANELS; i++) {
        const int again = style % 8 == 2 && i >= 3 && o->kind == WORDS; /* rows that depend on others */
        if (again) memcpy(row_at(o, i), row_at(o, next(&state) % 3), row_bytes(o));
        if (!again && o->use != SCRATCH) fill_row(o, row_at(o, i), row_bytes(o), style, &state);
    }
    o->before = digest_bytes(0, o->memory, o->memory_bytes);
    guard(o, 1);
}

/* ---- Running ------------------------------------------------------------------------------------------------- */

int trial_ready(trial *t) {
    for (size_t i = 0; i < t->count; i++) judge(t, &t->operands[i]);
    const int is_refused = t->must != 0 || (t->may != 0 && is_busy(t));
    size_t sum = 0;
    for (size_t i = 0; i < t->count; i++) {
        const operand *o = &t->operands[i];
        if (o->is_null) continue;
        sum += span_of(o) + o->bytes;
        trial_effort(t, o->rows);
    }
    if (t->avoided || (!is_refused && (sum > ROOM || t->effort > PATIENCE))) return 0;
    t->is_open = !is_refused;
    for (size_t i = 0; i < t->count; i++) {
        operand *o = &t->operands[i];
        o->at = (void *)(NOWHERE + (o->is_misaligned ? 8 : 0));
        if (o->is_null) {
            o->at = NULL;
        } else if (o->same != NULL) {
            o->at = o->same->at;
        } else if (t->is_open && !is_empty(o)) {
            allocate(t, o);
        }
    }
    return 1;
}

/* Nothing but the rows of outputs was written, and on errors not even they. */
static void inspect(trial *t, operand *o) {
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

void trial_done(trial *t, int status) {
    const unsigned errors = t->must | t->may | t->either;
    t->status = status;
    REQUIRE(t, status >= LIAM_OK && status <= LIAM_ERR_SELF_TEST);
    if (status == LIAM_OK) {
        REQUIRE(t, t->is_open);
    } else {
        REQUIRE(t, errors >> status & 1);
    }
    t->digest = UINT64_C(0xcbf29ce484222325) + (uint64_t)status;
    for (size_t i = 0; i < t->count; i++) {
        operand *o = &t->operands[i];
        if (o->memory == NULL) continue;
        inspect(t, o);
        free(o->memory);
    }
}

extern const trial_subject trials_pack[], trials_layers[], trials_network[], trials_bits[], trials_search[],
    trials_hadamard[], trials_gf2[];

static const trial_subject *const families[] = {trials_pack,   trials_layers,   trials_network, trials_bits,
                                                trials_search, trials_hadamard, trials_gf2};

const trial_subject *trial_subject_at(size_t index) {
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const trial_subject *s = families[f];
        for (; s->run != NULL; s++) {
            if (index-- == 0) return s;
        }
    }
    return NULL;
}

size_t trial_subjects(void) {
    size_t count = 0;
    while (trial_subject_at(count) != NULL) count++;
    return count;
}

uint64_t trial_run(size_t subject, const uint8_t *data, size_t size, uint64_t seed) {
    trial t = {.name = trial_subject_at(subject)->name, .data = data, .size = size, .state = seed};
    trial_subject_at(subject)->run(&t);
    return t.digest;
}

uint64_t trial_at_every_level(size_t subject, const uint8_t *data, size_t size, uint64_t seed) {
    uint64_t first = 0;
    for (int level = LIAM_SCALAR; level < LIAM_LEVELS; level++) {
        if (liam_set_level(level) != LIAM_OK) continue;
        const uint64_t digest = trial_run(subject, data, size, seed);
        if (level == LIAM_SCALAR) first = digest;
        if (digest == first) continue;
        fprintf(stderr, "%s: seed %llu: level %s differs from scalar\n", trial_subject_at(subject)->name,
                (unsigned long long)seed, liam_level_name(level));
        abort();
    }
    return first;
}
