#include "cliplens/base/error.h"

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

}  // namespace cliplens
