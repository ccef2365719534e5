// Models in the local cache of huggingface_hub. Nothing is downloaded.
//
//   const ClipModel openai = ClipModel::Load(FindInHubCache("hf:openai/clip-vit-base-patch16"));
#pragma once

#include <filesystem>
#include <string>

namespace cliplens {

// Whether `model` is written as "hf:ORG/NAME".
bool IsHubName(const std::string& model);

// The snapshot of "hf:ORG/NAME" that the cache's branch `main` names, or the only one where the
// cache names no branch. The cache is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else
// $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. Throws
// Error(kInvalidArgument) for a name that no repository can have, Error(kNotFound) that says how to
// get a model that is not there.
std::filesystem::path FindInHubCache(const std::string& model);

}  // namespace cliplens
