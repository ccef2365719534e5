// Models in the local cache of huggingface_hub: their names and places. Nothing is fetched here.
//
//   const ClipModel openai = ClipModel::Load(FindInHubCache("hf:openai/clip-vit-base-patch16"));
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cliplens {

// A repository of the hub at a revision.
struct HubName {
  std::string repository;         // "ORG/NAME"
  std::string revision = "main";  // a branch, a tag or a commit
};

// Whether `model` is written as "hf:...".
bool IsHubName(std::string_view model);
// Whether `text` is 40 digits as git names commits.
bool IsHubCommit(std::string_view text);

// Reads "hf:ORG/NAME" and "hf:ORG/NAME@REVISION". Throws Error(kInvalidArgument) for a name that no
// repository can have.
HubName ParseHubName(const std::string& model);
// The other way; @REVISION is left out for main.
std::string HubNameText(const HubName& name);
// The same of a path in a cache: "hf:ORG/NAME@COMMIT" for .../models--ORG--NAME/snapshots/COMMIT,
// empty for another path.
std::string HubNameOfSnapshot(const std::filesystem::path& path);

// $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface.
std::filesystem::path HubHome();
// The cache is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else hub in HubHome().
std::filesystem::path HubCacheRoot();
// The folder of a repository in a cache: models--ORG--NAME.
std::filesystem::path HubRepositoryFolder(const std::filesystem::path& cache, const HubName& name);

// The snapshot of a name as ParseHubName takes it: that of its revision, or for main the only one
// where the cache names no branch. Throws as ParseHubName, Error(kNotFound) with the command that
// fetches a model that is not there or lacks files, Error(kCorruptData) for a broken cache.
std::filesystem::path FindInHubCache(const std::string& model);

}  // namespace cliplens
