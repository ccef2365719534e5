// What stores of every kind promise, for VerifyStore and VerifyNeuronStore.
//
//   StoreChecks checks("store", manifest);
//   checks.CheckNames();
//   checks.CheckCounts();
//   checks.Check(kBasisFile, [&] { CheckHash(directory / kBasisFile, manifest.basis_checksum); });
//   for (const Problem& problem : checks.problems()) Print(problem.message);
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/verify.h"

namespace cliplens {

// Gathers the problems of one store. Each check that fails adds one; the others go on.
class StoreChecks {
 public:
  StoreChecks(std::filesystem::path directory, const Manifest& manifest)
      : directory_(std::move(directory)), manifest_(manifest) {}

  const std::filesystem::path& directory() const { return directory_; }
  const Manifest& manifest() const { return manifest_; }
  std::vector<Problem>& problems() { return problems_; }

  // Calls `check`; the error that it throws becomes a problem of the file.
  template <typename F>
  void Check(const std::string& file, F check) {
    try {
      check();
    } catch (const Error& error) {
      problems_.push_back({error.code(), file, error.what()});
    }
  }
  // Throws Error(kCorruptData) that names the file.
  template <typename... Args>
  [[noreturn]] void Fail(const std::string& file, fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw Error(ErrorCode::kCorruptData, "{}: {}; restore it or make it again",
                (directory_ / file).string(), fmt::format(format, std::forward<Args>(args)...));
  }

  // Files that look like the store's and are not: a reader would pass over them.
  void CheckNames();
  // Whether sets, shards, ranges and what was skipped make up the whole.
  void CheckCounts();
  // The lines of a shard's items; a picture of a set stands in the store once. Returns the items,
  // none where their file is damaged.
  std::vector<Item> CheckItems(const ShardInfo& shard);
  // Throws Error(kInvalidArgument) that says how a model is not the one that made the store.
  void CompareModel(const ClipModel& model) const;
  [[noreturn]] void FailModel(const std::string& what) const;

 private:
  std::filesystem::path directory_;
  const Manifest& manifest_;
  std::vector<Problem> problems_;
  std::map<Index, std::set<std::string>> paths_;  // of items, by set
};

}  // namespace cliplens
