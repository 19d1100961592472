/* SPDX-License-Identifier: Apache-2.0
 *
 * Trials of the kernel's public functions. A trial calls one function with sizes, strides and pointers drawn at random,
 * biased to the borders where arithmetic on sizes goes wrong, and knows from the documented rules which statuses it may
 * return. Memory is exactly as large as documented; where an argument is wrong, no pointer leads anywhere, so that
 * memory touched before the error is found is a fault.
 *
 * A function's trial draws sizes, describes its operands, and calls it where trial_ready says so:
 *
 *     static void negate(trial *t) {
 *         const size_t rows = trial_count(t), nbits = trial_nbits(t);
 *         operand *a = trial_bits(t, IN, rows, nbits), *out = trial_bits(t, OUT, rows, nbits);
 *         if (trial_ready(t)) trial_done(t, liam_bits_not(a->at, a->stride, rows, nbits, out->at, out->stride));
 *     }
 */
#ifndef LIAM_TRIAL_H
#define LIAM_TRIAL_H

#include <stddef.h>
#include <stdint.h>

#include "liam.h"

/* Sizes as the rules mean them, before anything wraps. */
__extension__ typedef unsigned __int128 wide;

typedef enum operand_use { IN, OUT, SCRATCH } operand_use;

/* An element's size and what it is filled with. Floats are finite where arithmetic is done with them, because the bits
 * of a NaN are not promised. */
typedef enum operand_kind {
    BYTES, SHORTS, INTS, LONGS, WORDS, FLOATS, DOUBLES, ANY_FLOATS, ANY_DOUBLES,
    INT_POSITIONS, LONG_POSITIONS, /* below the operand's limit */
    HITS,                          /* of queries below the operand's limit */
    PANELS                         /* prepared weights */
} operand_kind;

typedef struct operand {
    void *at;      /* what the function is given */
    size_t stride; /* in elements */
    size_t bytes;  /* of a block, as the function is told */
    size_t limit;

    operand_use use;
    operand_kind kind;
    wide rows, width;
    size_t n, nbits; /* of PANELS */
    int is_block, is_aligned, is_optional, is_null, is_misaligned, overflow_is_found;
    struct operand *same; /* the operand that this one is, too */
    uint8_t *memory;
    size_t memory_bytes;
    uint64_t before;
} operand;

#define TRIAL_OPERANDS 16

typedef struct trial {
    const char *name;
    const uint8_t *data; /* what is drawn first; then come random numbers */
    size_t size;
    uint64_t state;
    operand operands[TRIAL_OPERANDS];
    size_t count;
    unsigned must;   /* statuses, as bits: one of these has to be returned, */
    unsigned may;    /* one of these too, if there is work to do, */
    unsigned either; /* and these are no mistake */
    int avoided, is_open;
    wide effort;
    int status;
    uint64_t digest;
} trial;

/* ---- Drawing ------------------------------------------------------------------------------------------------- */

uint64_t trial_draw(trial *t);
int trial_chance(trial *t, unsigned one_in);

/* A count of rows or the like, and the width of a row of bits, which is an error if it is too large. */
size_t trial_count(trial *t);
size_t trial_nbits(trial *t);

/* ---- Describing ---------------------------------------------------------------------------------------------- */

/* Rows of elements, some stride apart; the same without a stride of their own; rows of bits. */
operand *trial_matrix(trial *t, operand_use use, operand_kind kind, wide rows, wide width);
operand *trial_dense(trial *t, operand_use use, operand_kind kind, wide rows, wide width);
operand *trial_bits(trial *t, operand_use use, wide rows, wide nbits);

/* Elements whose number follows from another operand's, so that functions need not ask whether they have a size. */
operand *trial_vector(trial *t, operand_use use, operand_kind kind, wide count);

/* Memory whose size the function is told: `needed` bytes are documented, unless asking for them gave an error. */
operand *trial_block(trial *t, operand_use use, int status, size_t needed);

/* n prepared rows of nbits bits. */
operand *trial_prepared(trial *t, size_t n, size_t nbits);

/* The operand has to be aligned to LIAM_ALIGNMENT. */
operand *trial_aligned(trial *t, operand *o);

operand *trial_optional(operand *o);
operand *trial_below(operand *o, size_t limit);

/* `out` is now and then the operand x itself. */
void trial_in_place(trial *t, operand *out, operand *x);

/* The status is an error's, unless the condition holds. */
void trial_rule(trial *t, int condition, int status);

/* The same for a size in bytes that must fit the address space. */
void trial_fits(trial *t, wide bytes);

/* Gives up a call that would take many more steps than its operands have elements. */
void trial_effort(trial *t, wide steps);

/* Gives up a trial whose arguments have no documented meaning. */
void trial_avoid(trial *t, int condition);

/* Whether memory is there and the function may be called; then its status is to be handed to trial_done. */
int trial_ready(trial *t);
void trial_done(trial *t, int status);

/* ---- Running ------------------------------------------------------------------------------------------------- */

typedef struct trial_subject {
    const char *name;
    void (*run)(trial *t);
} trial_subject;

#define TRIAL(name) {#name, name}

/* Every public function that has arguments to check. */
size_t trial_subjects(void);
const trial_subject *trial_subject_at(size_t index);

/* Runs a subject on data or, after its end, on the numbers that follow from seed, and aborts when something is wrong.
 * Returns a digest of the status and all outputs, which is the same at every level; 0 if there was nothing to call. */
uint64_t trial_run(size_t subject, const uint8_t *data, size_t size, uint64_t seed);

/* The same at every level that this machine has; the digests are compared. */
uint64_t trial_at_every_level(size_t subject, const uint8_t *data, size_t size, uint64_t seed);

#endif
