#include "file/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "base/errors.h"

namespace fastnn {

namespace {

constexpr size_t kPiece = size_t{16} << 20;  // bytes between two calls of Interrupt: some ten milliseconds

constexpr const char* kReadable = "a file that can be read; check the path and its permissions";
constexpr const char* kWritable =
    "a file that can be written in a folder that can be written, on a disk with room; check the path, its permissions and the "
    "disk; what was there before is unchanged";

// Calls a system function until no signal cuts it short.
template <typename Call>
auto uninterrupted(const Call& call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

[[noreturn]] void not_regular(const std::string& path, const char* fix) {
  throw ValueError(concat(path, ": a device, pipe or socket; expected a regular file; ", fix));
}

uint64_t regular_size(const std::string& path, int file) {
  struct stat status;
  if (file == -1 || fstat(file, &status) != 0) throw IoError(path, errno, kReadable);
  if (S_ISDIR(status.st_mode)) throw IoError(path, EISDIR, kReadable);
  if (!S_ISREG(status.st_mode)) not_regular(path, "read it into memory first");
  return static_cast<uint64_t>(status.st_size);
}

// Past symbolic links, so that a link stays one when the file behind it is replaced.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;  // what does not exist yet has nothing to resolve
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// Whether what was written is on the disk itself, not only in its cache.
int sync(int file) {
#if defined(F_FULLFSYNC)
  if (uninterrupted([&] { return fcntl(file, F_FULLFSYNC); }) != -1) return 0;
#endif
  return uninterrupted([&] { return fsync(file); });
}

}  // namespace

int Descriptor::close() {
  if (value_ == -1) return 0;
  const int result = ::close(value_);
  value_ = -1;
  // After EINTR the descriptor is gone on Linux, and closing it again could close somebody else's.
  return result == 0 || errno == EINTR ? 0 : errno;
}

// ---- Reading --------------------------------------------------------------------------------------------------------------

// O_NONBLOCK: opening a pipe must not wait for a writer; it means nothing to regular files.
InputFile::InputFile(std::string path)
    : path_(std::move(path)),
      file_(uninterrupted([&] { return open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); })),
      size_(regular_size(path_, file_.get())) {}

void InputFile::read(uint64_t offset, std::span<std::byte> bytes, const Interrupt& interrupt) const {
  while (!bytes.empty()) {
    if (interrupt) interrupt();
    const size_t wanted = std::min(bytes.size(), kPiece);
    const ssize_t got = uninterrupted([&] { return pread(file_.get(), bytes.data(), wanted, static_cast<off_t>(offset)); });
    if (got == -1) throw IoError(path_, errno, kReadable);
    if (got == 0) {
      throw ValueError(concat(path_, ": ends after ", offset, " bytes; expected the ", size_,
                              " that it had when it was opened; read it when nobody writes it"));
    }
    offset += static_cast<uint64_t>(got);
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

// ---- Writing --------------------------------------------------------------------------------------------------------------

OutputFile::OutputFile(const std::string& path)
    : path_(path), target_(resolved(path)), folder_(folder_of(target_)), mode_(-1), file_(create()) {}

int OutputFile::create() {
  struct stat status;
  if (stat(target_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail(EISDIR);
    if (!S_ISREG(status.st_mode)) not_regular(path_, "write somewhere else");
    // Replacing a file asks the folder for permission only; writing into it would have asked the file.
    if (faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0) fail(errno);
    mode_ = static_cast<int>(status.st_mode & 07777);
  } else if (errno != ENOENT) {
    fail(errno);
  }
  if (path_.empty() || path_.back() == '/') fail(path_.empty() ? ENOENT : EISDIR);
  std::random_device random;
  for (;;) {
    // Nobody else may look into a file whose final permissions are narrower than the umask's.
    temporary_ = concat(folder_, "/.fastnn-", random(), random(), ".tmp");
    const int file = uninterrupted([&] {
      return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_ == -1 ? 0666 : 0600);
    });
    if (file != -1) return file;
    if (errno != EEXIST) {
      const int code = errno;
      temporary_.clear();
      fail(code);
    }
  }
}

OutputFile::~OutputFile() {
  file_.close();
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::fail(int code) const { throw IoError(path_, code, kWritable); }

void OutputFile::write(std::span<const std::byte> bytes, const Interrupt& interrupt) {
  while (!bytes.empty()) {
    if (interrupt) interrupt();
    const ssize_t done = uninterrupted([&] { return ::write(file_.get(), bytes.data(), std::min(bytes.size(), kPiece)); });
    if (done == -1) fail(errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void OutputFile::commit() {
  if (mode_ != -1 && fchmod(file_.get(), static_cast<mode_t>(mode_)) != 0) fail(errno);
  if (sync(file_.get()) == -1) fail(errno);
  if (const int code = file_.close(); code != 0) fail(code);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
  // The new name is on disk once the folder is. By now the file is in place, and a folder that may not be read, or a file
  // system that cannot do this, is no reason to call the write a failure.
  const Descriptor folder(uninterrupted([&] { return open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (folder.get() != -1) sync(folder.get());
}

}  // namespace fastnn
