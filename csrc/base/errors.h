// The errors the core throws, and how their messages are made. The Python binding turns them into ValueError, TypeError and the
// subclass of OSError that an IoError's code stands for: FileNotFoundError, PermissionError, ...
#pragma once

#include <sstream>

#include "base/extent.h"  // its operator<< of shapes, which are std::vectors: seen from concat only if declared before it
#include "fastnn/errors.h"

namespace fastnn {

// concat("shape ", shape, " has ", 3, " axes"): everything that has an operator<<, as one string.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace fastnn
