// The errors the core throws. The Python binding turns them into ValueError, TypeError and OSError.
//
// Every message reads `<where>: <what came>; expected <what>; <how to fix>`.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>

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

// The operating system refused to do something with the file or folder at `path`; `code` is its errno. Python sees the
// subclass of OSError that the code stands for: FileNotFoundError, PermissionError, ...
struct IoError : std::runtime_error {
  IoError(std::string path_, int code_, const std::string& expected)
      : IoError(std::move(path_), concat(std::generic_category().message(code_), "; expected ", expected), code_) {}

  std::string path;
  int code;
  std::string reason;  // what() without the path

 private:
  IoError(std::string path_, std::string reason_, int code_)
      : runtime_error(concat(path_, ": ", reason_)), path(std::move(path_)), code(code_), reason(std::move(reason_)) {}
};

}  // namespace fastnn
