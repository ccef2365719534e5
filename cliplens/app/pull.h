// Fetches models by name into the cache that transformers and open_clip read, and finds those that
// are there.
//
//   const PulledModel pulled = PullModel("ViT-B-32/openai", {}, work);
//   const LoadedModel model = LoadModel({.model = "ViT-B-32/openai"});
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cliplens/app/work.h"
#include "cliplens/base/index.h"

namespace cliplens {

struct PullOptions {
  std::string revision = {};  // a branch, tag or commit; empty: main, or what the name says
  bool any = false;           // also a model that this version does not evaluate
  // Weights of ARCH/TAG from their other address (OpenAI's, or a release of open_clip), into
  // ~/.cache/clip, where open_clip and OpenAI's package look without the hub.
  bool original = false;
  // Is told once, by a line for people, where this run waits for another that fetches the same.
  std::function<void(const std::string& line)> on_wait = {};
};

struct PulledFile {
  std::string name;
  Index bytes = 0;
  bool fetched = false;  // now; false: it was there
};

struct PulledModel {
  std::string name;        // as other verbs take it
  std::string repository;  // of the hub, ORG/NAME; with `original` these three are empty
  std::string revision;
  std::string commit;
  std::filesystem::path path;  // its folder; with `original` its file
  std::vector<PulledFile> files;
};

// Whether a name is meant for the hub: hf:ORG/NAME, hf:ORG/NAME@REVISION, or an architecture of
// open_clip's table, a slash and a tag.
bool IsPullName(const std::string& name);

// Where a name of IsPullName leads: a folder in the cache, or for ARCH/TAG the file that open_clip
// fetched from its other address, in ~/.cache/clip, and the --arch that it needs.
struct FoundModel {
  std::filesystem::path path;
  std::string architecture;  // empty: the files say it
};
// Throws as FindInHubCache, Error(kNotFound) for a tag that the architecture does not have.
FoundModel FindPulled(const std::string& name);

// Fetches the files of a model that are not there: the configuration, the tokenizer and
// preprocessing, and the weights, safetensors if there are any. A model that is not evaluated is
// refused before its weights are fetched, unless `any` is set. Stages of progress: "pull MB".
// Throws Error(kInvalidArgument) for a name that is none, Error(kNotFound) for one that nothing
// has, Error(kUnsupported) for a model that is not evaluated, Error(kPrecondition) where a variable
// says to stay offline, and as HubDownload.
PulledModel PullModel(const std::string& name, const PullOptions& options, const Work& work);

}  // namespace cliplens
