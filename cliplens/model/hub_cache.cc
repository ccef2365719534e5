#include "cliplens/model/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScheme = "hf:";

bool IsNamePart(std::string_view part) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  // The cache writes "--" for the slash, so a part cannot have it.
  return !part.empty() && part.size() <= 96 && std::ranges::all_of(part, good) &&
         part.front() != '.' && part.front() != '-' && part.find("..") == std::string_view::npos &&
         part.find("--") == std::string_view::npos;
}

bool IsCommit(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

fs::path CacheRoot() {
  const auto variable = [](const char* name) -> fs::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (fs::path path = variable(name); !path.empty()) return path;
  }
  if (const fs::path home = variable("HF_HOME"); !home.empty()) return home / "hub";
  fs::path cache = variable("XDG_CACHE_HOME");
  if (cache.empty()) cache = variable("HOME") / ".cache";
  return cache / "huggingface" / "hub";
}

}  // namespace

bool IsHubName(const std::string& model) { return model.starts_with(kScheme); }

fs::path FindInHubCache(const std::string& model) {
  const std::string_view name = std::string_view(model).substr(kScheme.size());
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || !IsNamePart(name.substr(0, slash)) ||
      !IsNamePart(name.substr(slash + 1))) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no name of a repository; it is written hf:ORG/NAME, with letters, digits, "
                "'-', '_' and '.'",
                Printable(model));
  }
  const fs::path root = CacheRoot();
  const fs::path repository =
      root / fmt::format("models--{}--{}", name.substr(0, slash), name.substr(slash + 1));
  const auto missing = [&](const std::string& what) {
    return Error(ErrorCode::kNotFound,
                 "{}: {}; nothing is downloaded here, get it with huggingface_hub: "
                 "snapshot_download(\"{}\")",
                 Printable(model), what, name);
  };
  std::error_code ignored;
  if (!fs::is_directory(repository, ignored)) {
    throw missing(fmt::format("not in the cache {}", PathText(root)));
  }
  const fs::path branch = repository / "refs" / "main";
  std::string commit;
  if (fs::exists(branch, ignored)) {
    commit = ReadTextFile(branch, 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
    if (!IsCommit(commit)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: holds '{}', which is no commit; get the model again", PathText(branch),
                  Printable(commit, 60));
    }
  } else {
    std::vector<std::string> snapshots;
    for (const fs::directory_entry& entry :
         fs::directory_iterator(repository / "snapshots", ignored)) {
      snapshots.push_back(entry.path().filename().string());
    }
    if (snapshots.size() != 1) {
      throw missing(
          fmt::format("the cache has {} snapshots of it and no branch main that names one of them",
                      snapshots.size()));
    }
    commit = snapshots.front();
  }
  fs::path snapshot = repository / "snapshots" / commit;
  if (!fs::is_directory(snapshot, ignored)) {
    throw missing(fmt::format("the cache has no snapshot {}, which its branch main names", commit));
  }
  return snapshot;
}

}  // namespace cliplens
