// The two errors the core throws. The Python binding turns them into ValueError and TypeError.
//
// Every message reads `<where>: <what came>; expected <what>; <how to fix>`.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace fastnn {

struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// concat("shape ", shape, " has ", 3, " axes"): everything that has an operator<<, as one string.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace fastnn
