#include "simd/cpu.h"

#include <atomic>
#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "base/errors.h"

namespace fastnn {

namespace {

#if defined(__x86_64__)
// The registers the operating system saves on a context switch. A CPU with AVX-512 under a system that does not save zmm
// registers corrupts them, so both must be asked.
uint64_t saved_register_state() {
  uint32_t low, high;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool cpu_runs(Isa isa) {
  if (isa == Isa::generic) return true;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const bool fma = c & bit_FMA, osxsave = c & bit_OSXSAVE, f16c = c & bit_F16C;
  if (!osxsave || !fma || !f16c || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const uint64_t state = saved_register_state();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;  // XMM+YMM; and opmask, ZMM0-15 upper halves, ZMM16-31
  if (isa == Isa::avx2) return (b & bit_AVX2) && (state & kYmm) == kYmm;
  const uint32_t needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return (b & bit_AVX2) && (b & needed) == needed && (state & kZmm) == kZmm;
}
#endif

// AMD's, from Zen 3 on.
bool detect_distant_rows() {
#if defined(__x86_64__)
  uint32_t a, b, c, d;
  if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || c != signature_AMD_ecx || d != signature_AMD_edx)
    return false;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const uint32_t family = (a >> 8 & 0xf) + (a >> 20 & 0xff);
  return family >= 0x19;
#else
  return false;
#endif
}

std::atomic<bool>& distant_rows() {
  static std::atomic<bool> reads = detect_distant_rows();
  return reads;
}

std::vector<Isa> detect() {
  std::vector<Isa> found = {Isa::generic};
#if defined(FASTNN_HAS_AVX2)
  if (cpu_runs(Isa::avx2)) found.push_back(Isa::avx2);
#endif
#if defined(FASTNN_HAS_AVX512)
  if (cpu_runs(Isa::avx512)) found.push_back(Isa::avx512);
#endif
#if defined(FASTNN_HAS_NEON)
  found.push_back(Isa::neon);  // part of every AArch64
#endif
  return found;
}

bool find_available(std::string_view name, Isa& found) {
  for (Isa isa : available_isas()) {
    if (isa_name(isa) == name) {
      found = isa;
      return true;
    }
  }
  return false;
}

std::atomic<Isa>& selected() {
  static std::atomic<Isa> isa = [] {
    Isa choice = available_isas().back();
    if (const char* name = std::getenv("FASTNN_ISA")) find_available(name, choice);
    return choice;
  }();
  return isa;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  constexpr std::string_view names[] = {"generic", "avx2", "avx512", "neon"};
  return names[static_cast<size_t>(isa)];
}

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> isas = detect();
  return isas;
}

bool reads_distant_rows() { return distant_rows(); }
void use_distant_rows(bool reads) { distant_rows() = reads; }

Isa current_isa() { return selected(); }

void use_isa(std::string_view name) {
  Isa isa;
  if (!find_available(name, isa)) {
    std::string known;
    for (Isa available : available_isas()) known += (known.empty() ? "" : ", ") + std::string(isa_name(available));
    throw ValueError(concat("isa: '", name, "' is not available on this machine; expected one of ", known,
                            "; leave FASTNN_ISA unset to use the best"));
  }
  selected() = isa;
}

}  // namespace fastnn
