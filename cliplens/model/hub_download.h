// Fetches files of a repository of the Hugging Face hub into the cache of huggingface_hub, laid out
// as that library lays them out, so that it finds them too:
//
//     models--ORG--NAME/blobs/ETAG              what a file holds; ETAG.incomplete while it comes
//     models--ORG--NAME/snapshots/COMMIT/FILE   a link to it
//     models--ORG--NAME/refs/main               the commit
//
// A file appears whole and checked, or not at all; the snapshot appears after all of its files.
//
//   const HubDownload hub(ParseHubName("hf:openai/clip-vit-base-patch32"), HubSettingsHere());
//   const HubFile config = hub.Describe("config.json");
//   hub.Fetch(config, /*max_bytes=*/1 << 20);
//   hub.Link(std::array{config});
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>

#include "cliplens/base/index.h"
#include "cliplens/io/http_client.h"
#include "cliplens/model/hub_answer.h"
#include "cliplens/model/hub_cache.h"

namespace cliplens {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";
  bool offline = false;
  std::filesystem::path cache = {};
  HttpOptions http = {};  // with the token, if there is one
  // Is told of each file for which a run waits while another fetches it.
  std::function<void(const std::string& file)> on_wait = {};
};

// Those of huggingface_hub's variables: HF_ENDPOINT, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, the
// token from HF_TOKEN, else from the file HF_TOKEN_PATH or token in HubHome(), HF_HUB_ETAG_TIMEOUT
// and HF_HUB_DOWNLOAD_TIMEOUT in seconds, and HubCacheRoot(). Throws Error(kInvalidArgument) for a
// value that is none.
HubSettings HubSettingsHere();

class HubDownload {
 public:
  // Asks the hub which commit the name is and which files it has. Throws as HttpGet;
  // Error(kNotFound) for a repository or revision that is not there, Error(kPrecondition) for one
  // that wants a token or another, Error(kExhausted) where the hub wants us to wait.
  HubDownload(HubName name, HubSettings settings);

  const HubName& name() const { return name_; }
  const std::string& commit() const { return commit_; }
  bool Has(const std::string& file) const { return files_.contains(file); }
  // The snapshot's folder, which may not be there yet, and one of its files.
  std::filesystem::path snapshot() const;
  bool IsLinked(const std::string& file) const;

  // What the hub says of a file. Throws as above.
  HubFile Describe(const std::string& file) const;
  // Bytes that are still to come of a file.
  Index Missing(const HubFile& file) const;
  // Throws Error(kExhausted) where the cache's disk has less room than that.
  void CheckRoom(Index bytes) const;
  // Fetches a file, or goes on where it was cut off, checks it, and returns its path among the
  // blobs. Nothing is fetched that is there. Waits while another process fetches the same.
  // `progress` is told the bytes that are there. Throws as HttpDownload, Error(kCorruptData) for
  // another checksum.
  std::filesystem::path Fetch(const HubFile& file, Index max_bytes,
                              const std::function<void(Index)>& progress = {}) const;
  // Links fetched files into the snapshot, and names it by the revision.
  void Link(std::span<const HubFile> files) const;

 private:
  std::filesystem::path Blob(const HubFile& file) const;
  [[noreturn]] void ThrowRefused(const HttpAnswer& answer, const std::string& what) const;

  HubName name_;
  HubSettings settings_;
  std::filesystem::path folder_;
  std::string commit_;
  std::set<std::string> files_;
};

}  // namespace cliplens
