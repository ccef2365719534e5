#include "cliplens/io/partial_directory.h"

#include <string>
#include <system_error>

#include "cliplens/base/error.h"

namespace cliplens {
namespace fs = std::filesystem;

PartialDirectory::PartialDirectory(const fs::path& directory) : final_(directory) {
  // "store/" names the same directory as "store".
  if (!final_.has_filename()) final_ = final_.parent_path();
  partial_ = final_;
  partial_ += ".partial";
  std::error_code error;
  if (fs::exists(fs::symlink_status(final_, error))) {
    throw Error(ErrorCode::kPrecondition,
                "{}: exists already; name a new directory or remove this one", final_.string());
  }
  if (fs::exists(fs::symlink_status(partial_, error))) {
    throw Error(ErrorCode::kPrecondition,
                "{}: left by a run that was cut off, or another run is writing it; remove it when "
                "no run does",
                partial_.string());
  }
  if (!fs::create_directory(partial_, error)) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    throw Error(missing ? ErrorCode::kNotFound : ErrorCode::kPrecondition,
                "{}: cannot make this directory ({}); {}", partial_.string(), error.message(),
                missing ? "make its parent first" : "check the permissions of its parent");
  }
}

PartialDirectory::~PartialDirectory() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

void PartialDirectory::Commit() {
  std::error_code error;
  fs::rename(partial_, final_, error);
  if (error) {
    throw Error(ErrorCode::kPrecondition, "{}: cannot be renamed to {} ({})", partial_.string(),
                final_.string(), error.message());
  }
  committed_ = true;
}

}  // namespace cliplens
