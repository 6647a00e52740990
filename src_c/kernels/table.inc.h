/* All kernels for one instruction set (FNN_ISA, FNN_VBYTES) and one dtype (FNN_BITS), and the table that names them.
   Generates kernels_f32_<isa> and kernels_f64_<isa>. */

#include "vector.inc.h"

#include "math.inc.h"

#include "activation.inc.h"

#include "turn.inc.h"

#include "softmax.inc.h"

#include "tile.inc.h"

#include "tail.inc.h"

#include "packed.inc.h"

#include "flipped.inc.h"

#include "dense.inc.h"

#include "narrow.inc.h"

#include "loss.inc.h"

#include "random.inc.h"

#include "update.inc.h"

#include "arguments.inc.h"

#define FNN_BACKWARD_ELEMENTWISE(name) KERNEL(name##_backward)
#define FNN_BACKWARD_GUARDED(name) KERNEL(name##_backward)
#define FNN_BACKWARD_ROWWISE(name) KERNEL(name##_backward)
#define FNN_BACKWARD_THRESHOLD(name) NULL

extern const fnn_kernels KERNEL(kernels);
const fnn_kernels KERNEL(kernels) = {
    .activation_forward =
        {
#define FNN_ACTIVATION(name, kind, alpha, needs_z) [FNN_##name] = KERNEL(name##_forward),
#include "../fnn_ops.def"
        },
    .activation_backward =
        {
#define FNN_ACTIVATION(name, kind, alpha, needs_z) [FNN_##name] = FNN_BACKWARD_##kind(name),
#include "../fnn_ops.def"
        },
    .loss =
        {
#define FNN_LOSS(name) [FNN_##name] = KERNEL(name),
#include "../fnn_ops.def"
        },
    .update =
        {
#define FNN_UPDATE(name, n_slots) [FNN_##name##_update] = KERNEL(name##_update),
#include "../fnn_ops.def"
        },
#define FNN_OP(name, arguments) .name = KERNEL(name),
#include "../fnn_ops.def"
    .size = sizeof(real),
    .vector_bytes = FNN_VBYTES,
    .panel_bytes = FNN_TILE_VECTORS * FNN_VBYTES,
};

#undef FNN_PASTE_
#undef FNN_PASTE
#undef KERNEL
#undef FNN_INLINE
#undef real
#undef vec
#undef ivec
#undef uvec
#undef half_vec
#undef FNN_HAS_HALVES
#undef VL
#undef C
#undef FNN_INT
#undef FNN_UINT
#undef FNN_AVX
#undef FNN_AVX_VECTOR
#undef FNN_MANTISSA
#undef FNN_LN2_HIGH
#undef FNN_LN2_LOW
#undef FNN_ROUNDER
#undef FNN_EXPONENT_BIAS
#undef FNN_LOG2E
#undef FNN_LN2
#undef FNN_PLAIN_EXP
#undef FNN_EXP_LOW
#undef FNN_LOWERED
#undef FNN_EXPM1_TAIL
#undef FNN_LOG1P_TAIL
#undef FNN_HALVED_TAIL
#undef FNN_DOUBLED_TAIL
#undef FNN_GELU_CENTRE
#undef FNN_GELU_TAIL
#undef FNN_GELU_LIMIT
#undef FNN_HIGH_BITS
#undef FNN_HAS_PIECES
#undef FNN_GELU_END
#undef FNN_POLYNOMIAL
#undef FNN_SCALED_POLYNOMIAL
#undef FNN_ODDS_LOW
#undef FNN_ODDS_SCALE
#undef FNN_LIFT
#undef FNN_STAMP_THRESHOLD
#undef FNN_STAMP_ELEMENTWISE
#undef FNN_STAMP_GUARDED
#undef FNN_STAMP_MAP
#undef FNN_STAMP_SLOPE
#undef FNN_STAMP_ROWWISE
#undef FNN_EVEN
#undef FNN_ODD
#undef FNN_MIX_LOW
#undef FNN_MIX_HIGH
#undef FNN_TAIL_ROWS
#undef FNN_TAIL_SUM
#undef FNN_TILE_ROWS
#undef FNN_TILE_VECTORS
#undef FNN_TILE
#undef FNN_TILES_OF
#undef FNN_TILE_NAMES
#undef FNN_ROW_VECTORS
#undef FNN_PAIR_VECTORS
#undef FNN_WIDE_ROWS
#undef FNN_WIDE_SUM
#undef FNN_WIDE_TILES
#undef FNN_WIDE_NAMES
#undef FNN_ROWS_PRODUCT
#undef FNN_FEW_COLUMNS
#undef FNN_MANY_ROWS
#undef FNN_NARROW_ROWS
#undef FNN_NARROW_COLUMNS
#undef FNN_BACKWARD_ELEMENTWISE
#undef FNN_BACKWARD_GUARDED
#undef FNN_BACKWARD_ROWWISE
#undef FNN_BACKWARD_THRESHOLD
