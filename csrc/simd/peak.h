// The machine's own limits, measured, for benches to compare kernels with.
#pragma once

#include "ops/kernel.h"

namespace fastnn {

struct PeakKernels {
  float (*multiply_add)(int64_t repeats, float factor, float addend);  // independent chains that never leave the registers
  int64_t flops;                                                       // of one repeat
  void (*copy)(float* to, const float* from, int64_t count);           // plain loads and stores; count in whole kilobytes
};
FASTNN_PER_ISA(PeakKernels, peak_kernels)

// float32 multiplications and additions per second of `threads` threads with the vectors of this ISA, fastest of several runs.
double measure_peak_flops(Isa isa, int threads);

// Bytes read plus bytes written per second of `threads` threads, each of which copies its part of arrays that hold `size` bytes
// together, again and again; fastest of several runs.
double measure_peak_bytes(Isa isa, int threads, int64_t size);

}  // namespace fastnn
