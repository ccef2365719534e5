#include "cliplens/base/error.h"

#include <iterator>
#include <new>
#include <system_error>

namespace cliplens {
namespace {

// Exit status 1 is left to the shell and to a failed test, 2 to a command line that does not parse.
constexpr ErrorCodeInfo kTable[] = {
    {ErrorCode::kInvalidArgument, "invalid-argument", 2, 400},
    {ErrorCode::kNotFound, "not-found", 3, 404},
    {ErrorCode::kCorruptData, "corrupt-data", 4, 422},
    {ErrorCode::kPrecondition, "precondition", 5, 409},
    {ErrorCode::kExhausted, "exhausted", 6, 507},
    {ErrorCode::kUnsupported, "unsupported", 7, 501},
    {ErrorCode::kInternal, "internal", 70, 500},
};

}  // namespace

const ErrorCodeInfo& InfoOf(ErrorCode code) {
  for (const ErrorCodeInfo& row : kTable) {
    if (row.code == code) return row;
  }
  return kTable[std::size(kTable) - 1];
}

Error ErrorFrom(const std::exception& error) {
  if (const auto* known = dynamic_cast<const Error*>(&error)) return *known;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {ErrorCode::kExhausted, "out of memory; use fewer --threads or a machine with more"};
  }
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  for (const std::errc limit :
       {std::errc::resource_unavailable_try_again, std::errc::not_enough_memory,
        std::errc::too_many_files_open, std::errc::too_many_files_open_in_system}) {
    if (system == nullptr || system->code() != limit) continue;
    return {ErrorCode::kExhausted,
            "{}: a limit of this system or session; use fewer --threads or raise it (ulimit -a "
            "shows all)",
            error.what()};
  }
  return {ErrorCode::kInternal, "{}", error.what()};
}

}  // namespace cliplens
