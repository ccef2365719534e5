#include "cliplens/model/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/adapter.h"
#include "cliplens/model/checkpoint_files.h"

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

// What git takes as the name of a branch, a tag or a commit, as far as it is the same on every
// disk.
bool IsRevision(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/' || c == '+';
  };
  if (text.empty() || text.size() > 200 || !std::ranges::all_of(text, good)) return false;
  const std::string parts = fmt::format("/{}/", text);
  for (const char* bad : {"//", "/.", "..", "./", "/-"}) {
    if (parts.find(bad) != std::string::npos) return false;
  }
  return true;
}

// As huggingface_hub reads it: "~" is the home.
fs::path FolderOf(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string_view text = value == nullptr ? "" : value;
  const char* home = std::getenv("HOME");
  if (home == nullptr || (text != "~" && !text.starts_with("~/"))) return text;
  return fs::path(home) / text.substr(std::min<std::size_t>(2, text.size()));
}

// The commit that a branch or tag names in the cache; empty where it names none.
std::string CommitOf(const fs::path& reference) {
  std::error_code ignored;
  if (!fs::exists(reference, ignored)) return "";
  std::string commit = ReadTextFile(reference, 4096);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  if (!IsHubCommit(commit)) {
    throw Error(ErrorCode::kCorruptData, "{}: holds '{}', which is no commit; get the model again",
                PathText(reference), Printable(commit, 60));
  }
  return commit;
}

}  // namespace

bool IsHubName(std::string_view model) { return model.starts_with(kScheme); }

bool IsHubCommit(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

HubName ParseHubName(const std::string& model) {
  std::string_view name = model;
  if (IsHubName(name)) name.remove_prefix(kScheme.size());
  HubName out;
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) {
    out.revision = name.substr(at + 1);
    name = name.substr(0, at);
    if (!IsRevision(out.revision)) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: no name of a revision stands behind the '@'; it is a branch, a tag or a "
                  "commit of 40 digits",
                  Printable(model));
    }
  }
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || !IsNamePart(name.substr(0, slash)) ||
      !IsNamePart(name.substr(slash + 1))) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: no name of a repository; it is written hf:ORG/NAME, with letters, digits, "
                "'-', '_' and '.'",
                Printable(model));
  }
  out.repository = name;
  return out;
}

std::string HubNameText(const HubName& name) {
  return fmt::format("{}{}{}", kScheme, name.repository,
                     name.revision == "main" ? "" : "@" + name.revision);
}

std::string HubNameOfSnapshot(const fs::path& path) {
  constexpr std::string_view kPrefix = "models--";
  const std::string commit = path.filename().string();
  std::string repository = path.parent_path().parent_path().filename().string();
  const std::size_t dashes = repository.find("--", kPrefix.size());
  if (!IsHubCommit(commit) || path.parent_path().filename() != "snapshots" ||
      !repository.starts_with(kPrefix) || dashes == std::string::npos) {
    return "";
  }
  repository.replace(dashes, 2, "/");
  return HubNameText({repository.substr(kPrefix.size()), commit});
}

fs::path HubHome() {
  if (fs::path home = FolderOf("HF_HOME"); !home.empty()) return home;
  fs::path cache = FolderOf("XDG_CACHE_HOME");
  if (cache.empty()) cache = FolderOf("HOME") / ".cache";
  return cache / "huggingface";
}

fs::path HubCacheRoot() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (fs::path path = FolderOf(name); !path.empty()) return path;
  }
  return HubHome() / "hub";
}

fs::path HubRepositoryFolder(const fs::path& cache, const HubName& name) {
  const std::size_t slash = name.repository.find('/');
  return cache / fmt::format("models--{}--{}", name.repository.substr(0, slash),
                             name.repository.substr(slash + 1));
}

fs::path FindInHubCache(const std::string& model) {
  const HubName name = ParseHubName(model);
  const fs::path root = HubCacheRoot();
  const fs::path repository = HubRepositoryFolder(root, name);
  const std::string text = HubNameText(name);
  const auto missing = [&](const std::string& what) {
    return Error(ErrorCode::kNotFound, "{}: {}; get it: cliplens pull {}", text, what, text);
  };
  std::error_code ignored;
  if (!fs::is_directory(repository, ignored)) {
    throw missing(fmt::format("not in the cache {}", PathText(root)));
  }
  std::string commit =
      IsHubCommit(name.revision) ? name.revision : CommitOf(repository / "refs" / name.revision);
  if (commit.empty()) {
    std::vector<std::string> snapshots;
    for (const fs::directory_entry& entry :
         fs::directory_iterator(repository / "snapshots", ignored)) {
      snapshots.push_back(entry.path().filename().string());
    }
    if (snapshots.size() != 1 || name.revision != "main") {
      throw missing(
          fmt::format("the cache has {} snapshots of it and no branch {} that names one "
                      "of them",
                      snapshots.size(), name.revision));
    }
    commit = snapshots.front();
  }
  fs::path snapshot = repository / "snapshots" / commit;
  if (!fs::is_directory(snapshot, ignored)) {
    throw missing(fmt::format("the cache has no snapshot {} of it", commit));
  }
  if (!HoldsModel(snapshot) && !HasAdapter(snapshot)) {
    throw missing(
        fmt::format("its snapshot {} in the cache lacks the configuration or weights", commit));
  }
  return snapshot;
}

}  // namespace cliplens
