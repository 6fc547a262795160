// What holds for the whole process.
#pragma once

#include <string>

namespace fastnn {

std::string version();  // "0.1.0"

// The threads that all runs together may use: FASTNN_NUM_THREADS, else as many as there are CPUs for this process (affinity and
// container quota). Results do not depend on it, to the bit.
int num_threads();
void set_num_threads(int threads);  // 1 to 256, else ValueError

}  // namespace fastnn
