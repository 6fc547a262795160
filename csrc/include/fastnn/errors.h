// The errors that fastnn throws.
//
// Every message reads `<where>: <what came>; expected <what>; <how to fix>`.
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

namespace fastnn {

// A value, a shape or a file that does not fit.
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// An element type that does not fit.
struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// The operating system refused to do something with the file or folder at `path`; `code` is its errno.
struct IoError : std::runtime_error {
  IoError(std::string path_, int code_, const std::string& expected)
      : IoError(std::move(path_), std::generic_category().message(code_) + "; expected " + expected, code_) {}

  std::string path;
  int code;
  std::string reason;  // what() without the path

 private:
  IoError(std::string path_, std::string reason_, int code_)
      : runtime_error(path_ + ": " + reason_), path(std::move(path_)), code(code_), reason(std::move(reason_)) {}
};

}  // namespace fastnn
