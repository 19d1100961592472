/* M4RI behind plain functions, for bench/kernel/m4ri.py: a matrix is an opaque pointer, its rows are packed words, least
 * significant bit first, as ours are. `make peers` compiles this against the headers of Debian's libm4ri-dev. M4RI ends
 * the process where sizes do not fit, so callers see to it that they do.
 */
#include <m4ri/m4ri.h>
#include <stdint.h>
#include <string.h>

/* PACKAGE comes from the command line. */
const char *peer_version(void) { return PACKAGE; }

void *peer_make(int rows, int columns) { return mzd_init(rows, columns); }

void peer_free(void *matrix) { mzd_free(matrix); }

void peer_write(void *matrix, const uint64_t *bits) {
    mzd_t *to = matrix;
    for (rci_t row = 0; row < to->nrows; row++) {
        memcpy(to->rows[row], bits + (size_t)row * to->width, sizeof(uint64_t) * to->width);
    }
}

void peer_read(const void *matrix, uint64_t *bits) {
    const mzd_t *from = matrix;
    for (rci_t row = 0; row < from->nrows; row++) {
        memcpy(bits + (size_t)row * from->width, from->rows[row], sizeof(uint64_t) * from->width);
    }
}

/* The multiplication that the library chooses by itself, with the cutoff of its own. */
void peer_multiply(void *product, const void *left, const void *right) { mzd_mul(product, left, right, 0); }

/* Of a matrix that has an inverse: nothing says when there is none. */
void peer_invert(void *inverse, const void *matrix) { mzd_inv_m4ri(inverse, matrix, 0); }

/* The echelon form is made in place, so the matrix is copied first, as it is for us. */
int peer_rank(void *scratch, const void *matrix) {
    mzd_copy(scratch, matrix);
    return mzd_echelonize(scratch, 0);
}

/* In place; returns the rank. */
int peer_reduce(void *matrix) { return mzd_echelonize(matrix, 1); }

/* Both are overwritten. `right` has as many rows as the longer side of `matrix`: first those of the right sides and zeros
 * behind them, then the unknowns. Returns 0, or -1 where no matrix of unknowns solves all. */
int peer_solve(void *matrix, void *right) { return mzd_solve_left(matrix, right, 0, 1); }

/* Returns a new matrix whose columns are a basis of the null space of one that is overwritten, NULL where that is {0}. */
void *peer_null_space(void *matrix) { return mzd_kernel_left_pluq(matrix, 0); }

int peer_columns(const void *matrix) { return ((const mzd_t *)matrix)->ncols; }
