// Files on disk: one that is read, and one that is replaced as a whole.
//
// Errors: IoError with what the operating system said; ValueError where the path is something other than a regular file.
// Interrupt: a function called between pieces of a long transfer; what it throws ends the transfer as any error does. Python
// passes one that looks for signals, so that Ctrl-C does not have to wait for gigabytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace fastnn {

using Interrupt = std::function<void()>;

// Closes a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int close();  // 0, or errno: some file systems report only now that the disk is full

 private:
  int value_;
};

// Reads are plain reads into memory of ours. A mapping would save a copy, but a mapped file that somebody shortens kills the
// process with SIGBUS, and one that somebody rewrites changes after it was checked.
class InputFile {
 public:
  explicit InputFile(std::string path);
  uint64_t size() const { return size_; }
  // ValueError if the file ends before: it has become shorter than size().
  void read(uint64_t offset, std::span<std::byte> bytes, const Interrupt& interrupt = {}) const;

 private:
  std::string path_;
  Descriptor file_;
  uint64_t size_;
};

// Writes a temporary file in the target's folder; commit() makes it the target, in one step, once it is safely on disk. Without
// commit the temporary file is removed and the target is what it was before.
//
// Follows a symbolic link to its target. Keeps the permissions of a target that exists, and refuses one that may not be
// written, as opening it would have; a new file's permissions are those the umask leaves. The owner is whoever writes.
// A process that is killed outright leaves the temporary file, .fastnn-<number>.tmp.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes, const Interrupt& interrupt = {});
  void commit();

 private:
  int create();
  [[noreturn]] void fail(int code) const;

  std::string path_;       // as the caller has it
  std::string target_;     // links resolved
  std::string folder_;     // of the target; "." for a bare name
  std::string temporary_;  // empty once it is the target
  int mode_;               // the target's permissions, or -1 if there is none
  Descriptor file_;
};

}  // namespace fastnn
