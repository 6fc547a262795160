#include "ops/epilogue.h"

#include <algorithm>

namespace fastnn {

namespace {
constexpr std::string_view kNames[] = {"", "relu", "add", "multiply", "relu_backward"};  // in the order of Epilogue
}

Epilogue epilogue_of(const Call& call) {
  const auto* const name = std::ranges::find(kNames, call.attributes.text("epilogue"));
  return name == std::end(kNames) ? Epilogue::none : static_cast<Epilogue>(name - kNames);
}

void expect_epilogue(const Call& call, std::initializer_list<Epilogue> known, const Shape& result) {
  const std::string& name = call.attributes.text("epilogue");
  const Epilogue epilogue = epilogue_of(call);
  if (!name.empty() && std::ranges::count(known, epilogue) == 0) {
    std::string expected;
    for (const Epilogue& one : known) {
      expected += one == *known.begin() ? "" : &one == known.end() - 1 ? " or " : ", ";
      expected += kNames[static_cast<size_t>(one)];
    }
    call.fail_value(concat("epilogue='", name, "'; expected ", expected, ", or none; apply other functions to the result"));
  }
  const size_t other = call.op->inputs.size() - 1;
  const bool wanted = epilogue != Epilogue::none && epilogue != Epilogue::relu;
  if (call.has(other) != wanted) {
    call.fail_value(concat("`other` is ", wanted ? "missing" : "given", "; expected ",
                           wanted ? "an array of the result's shape" : "none", " with epilogue='", name, "'; ",
                           wanted ? "pass it" : "leave it out"));
  }
  if (!wanted) return;
  call.expect_same_dtype(0, other);
  call.expect_shape(other, result);
}

}  // namespace fastnn
