/* SPDX-License-Identifier: Apache-2.0
 *
 * Operands of a trial: how they are drawn, and which statuses they deserve.
 */
#include <string.h>

#include "liam_trial_memory.h"

#define PATIENCE ((wide)1 << 20)     /* steps that a call may take */
#define NOWHERE ((uintptr_t)1 << 12) /* an address where nothing is ever mapped */

/* ---- Drawing ------------------------------------------------------------------------------------------------- */

uint64_t trial_draw(trial *t) {
    uint64_t value = 0;
    if (t->size < sizeof value) return trial_random(&t->state);
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
    const wide most = (wide)PTRDIFF_MAX / operand_element(o);
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

operand *trial_aligned(trial *t, operand *o) {
    o->is_aligned = 1;
    o->is_misaligned = trial_chance(t, 40);
    return o;
}

operand *trial_block(trial *t, operand_use use, int status, size_t needed) {
    operand *o = trial_aligned(t, add(t, use, BYTES, status == LIAM_OK && needed != 0, needed));
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
    operand *o = trial_aligned(t, add(t, IN, PANELS, rows * words != 0, rows * words));
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

/* The greatest size with which no product of three wraps. */
static int is_vast(wide size) { return size > (wide)1 << 64; }

static void judge(trial *t, const operand *o) {
    if (o->is_optional && o->is_null) return;
    const wide rows = o->rows, span = is_vast(rows) ? rows : rows * o->stride;
    const int overflows = is_vast(rows) || is_vast(o->width) || span > PTRDIFF_MAX / operand_element(o);
    if (o->stride < o->width) t->must |= 1u << LIAM_ERR_STRIDE;
    if (overflows && o->overflow_is_found) t->must |= 1u << LIAM_ERR_OVERFLOW;
    if (overflows || rows > PTRDIFF_MAX) t->either |= 1u << LIAM_ERR_OVERFLOW; /* rows of nothing, too many to count */
    unsigned found = 0;
    if (o->is_null) found |= 1u << LIAM_ERR_NULL;
    if (o->is_misaligned && !o->is_null) found |= 1u << LIAM_ERR_ALIGNMENT;
    if (o->is_block && o->bytes < o->width) found |= 1u << LIAM_ERR_MEMORY;
    if (operand_is_empty(o)) {
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
        if (operand_is_empty(o) && !o->is_block && !o->is_optional) return 0;
    }
    return 1;
}

/* ---- Running ------------------------------------------------------------------------------------------------- */

int trial_ready(trial *t) {
    for (size_t i = 0; i < t->count; i++) judge(t, &t->operands[i]);
    const int is_refused = t->must != 0 || (t->may != 0 && is_busy(t));
    size_t sum = 0;
    for (size_t i = 0; i < t->count; i++) {
        const operand *o = &t->operands[i];
        if (o->is_null) continue;
        sum += operand_span(o) + o->bytes;
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
        } else if (t->is_open && !operand_is_empty(o)) {
            operand_allocate(t, o);
        }
    }
    return 1;
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
        operand_inspect(t, o);
        free(o->memory);
    }
}

extern const trial_subject trials_pack[], trials_layers[], trials_network[], trials_bits[], trials_search[],
    trials_hadamard[], trials_gf2[], trials_index[], trials_linear[];

static const trial_subject *const families[] = {trials_pack,   trials_layers,   trials_network, trials_bits,
                                                trials_search, trials_hadamard, trials_gf2,     trials_index,
                                                trials_linear};

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
