// The machine's own arithmetic limit, measured, for benches to compare kernels with.
#pragma once

#include "ops/kernel.h"

namespace fastnn {

struct PeakKernels {
  float (*multiply_add)(int64_t repeats, float factor, float addend);  // independent chains that never leave the registers
  int64_t flops;                                                       // of one repeat
};
FASTNN_PER_ISA(PeakKernels, peak_kernels)

// float32 multiplications and additions per second of `threads` threads with the vectors of this ISA: the fastest of several
// runs.
double measure_peak_flops(Isa isa, int threads);

}  // namespace fastnn
