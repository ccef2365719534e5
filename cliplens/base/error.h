// Errors: the one exception of the library and the one table from its codes to the outside world.
//
//   throw Error(ErrorCode::kCorruptData,
//               "{}: the header claims {} bytes, the file has {}; fetch it again",
//               "a.safetensors", claimed, size);
//
// A message names the file or tensor, both values that disagree, and the next step. Library code
// never prints, exits or aborts; the command line turns an Error into one line and an exit status.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace cliplens {

enum class ErrorCode {
  kInvalidArgument,  // what the caller asked for makes no sense
  kNotFound,         // a file, name or head that is not there
  kCorruptData,      // a file whose bytes contradict themselves or their format
  kPrecondition,     // the call is right, the state is not (output exists, too few images, ...)
  kExhausted,        // memory, disk or a stated limit
  kUnsupported,      // well-formed, but outside what this version handles
  kInternal,         // a defect of cliplens
};

class Error : public std::runtime_error {
 public:
  template <typename... Args>
  Error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)), code_(code) {}

  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// One row of the table that every front end reads.
struct ErrorCodeInfo {
  ErrorCode code;
  const char* name;  // "invalid-argument", as printed and as in JSON
  int exit_status;   // of the command line
  int http_status;   // of the explorer
};

const ErrorCodeInfo& InfoOf(ErrorCode code);

// What a front end says of any exception: an Error is kept, what the system gives no more of
// (memory, threads, open files) is kExhausted, anything else kInternal.
Error ErrorFrom(const std::exception& error);

}  // namespace cliplens
