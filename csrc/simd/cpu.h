// Which instruction sets this CPU and its operating system offer, and which one is in use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fastnn {

enum class Isa { generic, avx2, avx512, neon };

std::string_view isa_name(Isa isa);

// The ISAs that were compiled in and that run here, best last.
const std::vector<Isa>& available_isas();

// The ISA kernels are chosen from: FASTNN_ISA if it names an available one, else the best. (A bad value is the Python
// package's to warn about.) `use_isa` changes it for plans made afterwards; ValueError names the available ones.
Isa current_isa();
void use_isa(std::string_view name);

// Whether rows that lie up to a few kilobytes apart are multiplied as fast where they lie as from a copy side by side. So it is on a
// Zen 4, whose products wait for copies more than for rows; a Cascade Lake is faster with the copy.
// `use_distant_rows` says so of plans made afterwards, for tests of both ways.
bool reads_distant_rows();
void use_distant_rows(bool reads);

}  // namespace fastnn
