#include "arguments.h"

#include <float.h>

/* Elements in one go: they, and the reals made of them, stay in the first-level cache. */
enum { RUN = 1024, LARGEST = sizeof(long double) };

/* Elements in memory that a kernel can read: the array's own, or copies. */
typedef struct fnn_run {
    fnn_array a;
    int whole; /* the array is one piece */
    _Alignas(64) char copies[RUN * LARGEST];
} fnn_run;

static void open_run(fnn_run *run, const fnn_array *a) {
    run->a = *a;
    if (a->columns == 1) {
        run->a.rows = 1;
        run->a.columns = a->rows;
        run->a.column_stride = a->row_stride;
    } else if (a->row_stride == a->columns * a->column_stride) {
        run->a.rows = 1;
        run->a.columns = a->rows * a->columns;
    }
    run->whole = run->a.rows <= 1 && run->a.column_stride == a->size && a->aligned && !a->swapped;
}

/* to (n,) = elements `stride` apart; `size` is a constant wherever this is called. */
static inline void gather(char *to, const char *from, ptrdiff_t stride, ptrdiff_t n, const int size) {
    for (ptrdiff_t i = 0; i < n; i++)
        memcpy(to + i * size, from + i * stride, size);
}

static void copy_elements(char *to, const char *from, ptrdiff_t stride, ptrdiff_t n, int size) {
    switch (size) {
    case 1:
        gather(to, from, stride, n, 1);
        break;
    case 2:
        gather(to, from, stride, n, 2);
        break;
    case 4:
        gather(to, from, stride, n, 4);
        break;
    case 8:
        gather(to, from, stride, n, 8);
        break;
    default:
        gather(to, from, stride, n, LARGEST);
    }
}

static void swap_bytes(char *elements, ptrdiff_t n, int size) {
    for (ptrdiff_t i = 0; i < n; i++, elements += size)
        for (int low = 0, high = size - 1; low < high; low++, high--) {
            const char byte = elements[low];
            elements[low] = elements[high];
            elements[high] = byte;
        }
}

/* n <= RUN elements from number `start` on, row by row. */
static const void *elements(fnn_run *run, ptrdiff_t start, ptrdiff_t n) {
    const fnn_array *a = &run->a;
    if (run->whole)
        return a->data + start * a->size;
    ptrdiff_t row = start / a->columns, column = start % a->columns;
    for (ptrdiff_t done = 0; done < n; row++, column = 0) {
        const ptrdiff_t left = a->columns - column, more = left < n - done ? left : n - done;
        const char *from = a->data + row * a->row_stride + column * a->column_stride;
        copy_elements(run->copies + done * a->size, from, a->column_stride, more, a->size);
        done += more;
    }
    if (a->swapped)
        swap_bytes(run->copies, n, a->size);
    return run->copies;
}

int fnn_are(const fnn_kernels *kernels, const void *reals, ptrdiff_t B, ptrdiff_t N, int wanted, double tolerance) {
    int good = 1, zero;
    switch (wanted) {
    case FNN_FINITE:
        kernels->all_finite(&good, reals, B * N);
        break;
    case FNN_PROBABILITIES:
        kernels->all_up_to(&good, reals, 1.0, B * N);
        break;
    case FNN_SHARES:
        kernels->all_up_to(&good, reals, 1.0, B * N);
        if (good)
            kernels->rows_sum_to_one(&good, reals, tolerance, B, N);
        break;
    case FNN_WEIGHTS:
        kernels->all_up_to(&good, reals, kernels->size == sizeof(float) ? FLT_MAX : DBL_MAX, B * N);
        kernels->all_up_to(&zero, reals, 0.0, B * N);
        good = good && !zero;
        break;
    default:
        break;
    }
    return good;
}

int fnn_is_turned(const fnn_array *a) {
    const ptrdiff_t row = a->row_stride < 0 ? -a->row_stride : a->row_stride;
    const ptrdiff_t column = a->column_stride < 0 ? -a->column_stride : a->column_stride;
    return a->rows > 1 && a->columns > 1 && row < column;
}

/* As fnn_take_reals, for what goes from row to row. */
static int take(const fnn_kernels *kernels, void *reals, fnn_run *run, ptrdiff_t n, int wanted) {
    for (ptrdiff_t start = 0; start < n; start += RUN) {
        const ptrdiff_t more = n - start < RUN ? n - start : RUN;
        char *to = (char *)reals + start * kernels->size;
        kernels->convert(to, elements(run, start, more), run->a.type, more);
        /* What is asked of each number alone is asked while it is near. */
        if (wanted == FNN_FINITE && !fnn_are(kernels, to, 1, more, FNN_FINITE, 0.0))
            return 0;
    }
    return 1;
}

int fnn_take_reals(const fnn_kernels *kernels, void *reals, const fnn_array *a, int wanted, double tolerance,
                   void *room) {
    fnn_run run;
    const ptrdiff_t n = a->rows * a->columns;
    if (fnn_is_turned(a)) {
        /* Its columns are the rows of another array. */
        const fnn_array other = {a->data, a->columns, a->rows,    a->column_stride, a->row_stride,
                                 a->type, a->size,    a->aligned, a->swapped};
        const int same = a->type == (kernels->size == sizeof(float) ? FNN_ELEMENT_f32 : FNN_ELEMENT_f64);
        open_run(&run, &other);
        if (!(same && run.whole) && !take(kernels, room, &run, n, wanted))
            return 0;
        kernels->transpose(reals, same && run.whole ? a->data : room, a->columns, a->rows);
        return fnn_are(kernels, reals, a->rows, a->columns, wanted, tolerance);
    }
    open_run(&run, a);
    if (!take(kernels, reals, &run, n, wanted))
        return 0;
    return wanted == FNN_FINITE || fnn_are(kernels, reals, a->rows, a->columns, wanted, tolerance);
}

int fnn_take_labels(ptrdiff_t *labels, const fnn_array *a, ptrdiff_t n_classes) {
    fnn_run run;
    const ptrdiff_t n = a->rows * a->columns;
    open_run(&run, a);
    for (ptrdiff_t start = 0; start < n; start += RUN, labels += RUN) {
        const ptrdiff_t more = n - start < RUN ? n - start : RUN;
        const void *from = elements(&run, start, more);
        int wrong = 0;
        switch (a->type) {
            /* As unsigned numbers those below 0 are large. */
#define FNN_INTEGER(name, kind, number) \
    case FNN_ELEMENT_##name: \
        for (ptrdiff_t i = 0; i < more; i++) { \
            const kind label = (kind)number(((const kind *)from)[i]); \
            wrong |= (uint64_t)label >= (uint64_t)n_classes; \
            labels[i] = (ptrdiff_t)label; \
        } \
        break;
#include "fnn_ops.def"
        default:
            wrong = 1;
        }
        if (wrong)
            return 0;
    }
    return 1;
}
