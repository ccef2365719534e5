#include "cliplens/app/pull.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/io/checked_download.h"
#include "cliplens/io/digest.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/tensor_file.h"
#include "cliplens/model/checkpoint_files.h"
#include "cliplens/model/config.h"
#include "cliplens/model/hub_cache.h"
#include "cliplens/model/hub_download.h"
#include "cliplens/model/published_weights.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr Index kMostConfigBytes = Index{1} << 20;
constexpr Index kMostTextBytes = Index{64} << 20;  // of a tokenizer, an index
constexpr Index kMostWeightBytes = Index{1} << 40;

// What lies beside the configuration and the weights, and is fetched where it is there: texts and
// pictures are read by it, by cliplens or by others.
constexpr const char* kBeside[] = {"config.json",
                                   "open_clip_config.json",
                                   "preprocessor_config.json",
                                   "processor_config.json",
                                   "vocab.json",
                                   "merges.txt",
                                   "tokenizer.json",
                                   "spiece.model",
                                   "sentencepiece.bpe.model",
                                   "vocab.txt",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "adapter_config.json"};
constexpr const char* kAdapterFiles[] = {"adapter_model.safetensors", "adapter_model.bin"};

// What is asked for, in the hub's words.
struct Wanted {
  HubName hub;
  const PublishedWeights* published = nullptr;
};

// Throws for a name that is no name of a model on the hub, with what may have been meant.
[[noreturn]] void ThrowNoName(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::string tags =
      slash == std::string::npos ? "" : PublishedTags(std::string_view(name).substr(0, slash));
  if (!tags.empty()) {
    throw Error(ErrorCode::kNotFound,
                "{}: open_clip has no weights of this tag, and no file has this path; the tags of "
                "this architecture are {}",
                Printable(name), tags);
  }
  if (const std::string alone = PublishedTags(name); !alone.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: say with which weights: {}/TAG with a tag of {}",
                Printable(name), Printable(name), alone);
  }
  std::string meant;
  if (slash != std::string::npos) {
    try {
      meant = fmt::format("; did you mean {}?", HubNameText(ParseHubName(name)));
    } catch (const Error&) {
      // It was meant otherwise.
    }
  }
  throw Error(ErrorCode::kInvalidArgument,
              "{}: no name of a model on the hub; it is written hf:ORG/NAME, or ARCH/TAG as "
              "open_clip names them (ViT-B-32/openai){}",
              Printable(name), meant);
}

Wanted Resolve(const std::string& name, const std::string& revision) {
  Wanted wanted;
  std::string text = name;
  if (!IsHubName(name)) {
    wanted.published = FindPublishedWeights(name);
    if (wanted.published == nullptr) ThrowNoName(name);
    text = fmt::format("hf:{}", wanted.published->repository);
  }
  if (!revision.empty()) {
    if (text.find('@') != std::string::npos) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: says a revision, and --revision says another; give one of them",
                  Printable(name));
    }
    text += "@" + revision;
  }
  wanted.hub = ParseHubName(text);
  return wanted;
}

// Where open_clip, and OpenAI's own package, keep what they fetch from the other address of
// weights.
fs::path ClipCacheFile(const PublishedWeights& row) {
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".cache" / "clip" /
         row.url.substr(row.url.rfind('/') + 1);
}

// The SHA-256 that an address holds, or its first digits; empty where it holds none.
std::string_view DigestIn(std::string_view url) {
  const std::size_t slash = url.rfind('/');
  if (url.find("openaipublic") != std::string_view::npos) {
    const std::string_view folder = url.substr(0, slash);
    return folder.substr(folder.rfind('/') + 1);
  }
  if (url.find("mlfoundations") == std::string_view::npos) return {};
  const std::string_view stem = url.substr(0, url.rfind('.'));
  return stem.substr(stem.rfind('-') + 1);
}

// As open_clip's --arch for weights without a configuration of their own.
std::string ArchitectureOf(const PublishedWeights& row) {
  if (row.tag == "openai") return "openai";
  std::string name(row.architecture);
  if (row.quick_gelu && !name.ends_with("-quickgelu")) name += "-quickgelu";
  return name;
}

[[noreturn]] void ThrowNotEvaluated(const std::string& name, std::string_view reason) {
  throw Error(ErrorCode::kUnsupported,
              "{}: its weights are not fetched, for this version does not evaluate it: {}; "
              "cliplens pull {} --any fetches them for other programs",
              Printable(name), reason, Printable(name));
}

// The layout and the weights that are read of a repository.
struct Layout {
  std::string config;   // empty: there is none
  std::string weights;  // a file, or an index
};

Layout ChooseLayout(const HubDownload& hub, const Wanted& wanted, const std::string& name,
                    bool any) {
  std::string lacks;
  std::vector<const char*> configs;
  for (const ModelFileNames& names : ModelFiles()) {
    configs.push_back(names.config);
    const bool configured = hub.Has(names.config);
    std::vector<std::string> weights(names.weights.begin(), names.weights.end());
    if (wanted.published != nullptr && !wanted.published->file.empty()) {
      weights = {std::string(wanted.published->file)};
    }
    const auto found =
        std::ranges::find_if(weights, [&](const auto& file) { return hub.Has(file); });
    // Of weights of open_clip's table its own Python knows the configuration.
    if (found != weights.end() && (configured || (any && wanted.published != nullptr))) {
      return {configured ? names.config : "", *found};
    }
    if (configured) {
      lacks += fmt::format("; {} is there, but none of {}", names.config, fmt::join(weights, ", "));
    }
  }
  if (hub.Has("adapter_config.json")) {
    lacks += "; it holds an adapter alone, which is to be merged into its model";
  }
  throw Error(ErrorCode::kUnsupported, "{}: no CLIP model in this repository: {}", Printable(name),
              lacks.empty() ? fmt::format("there is no {}", fmt::join(configs, " and no "))
                            : lacks.substr(2));
}

// Progress in whole megabytes of some files, one after the other. `total` is in bytes; -1: unknown.
class MegabyteProgress {
 public:
  MegabyteProgress(const Work& work, Index total) : sink_(work.Stage("pull MB")), total_(total) {}
  void operator()(Index have) const {
    const Index done = (before_ + have) / kMegabyte;
    if (sink_) sink_(done, std::max((total_ + kMegabyte - 1) / kMegabyte, done + 1));
  }
  void Next(Index bytes) { before_ += bytes; }
  void Finish() const {
    const Index all = (std::max<Index>(total_, before_) + kMegabyte - 1) / kMegabyte;
    if (sink_) sink_(all, all);
  }

 private:
  static constexpr Index kMegabyte = 1'000'000;
  ProgressSink sink_;
  Index total_;
  Index before_ = 0;
};

// Fetches files of one model and keeps account of them.
class Pull {
 public:
  Pull(const HubDownload& hub, const Work& work) : hub_(hub), work_(work) {}

  // A small file; returns where it lies.
  fs::path Small(const std::string& name, Index max_bytes) {
    if (hub_.IsLinked(name)) {
      fs::path there = hub_.snapshot() / name;
      Note(name, static_cast<Index>(fs::file_size(there)), false);
      return there;
    }
    const HubFile file = hub_.Describe(name);
    fs::path blob = hub_.Fetch(file, max_bytes);
    Note(name, static_cast<Index>(fs::file_size(blob)), true);
    linked_.push_back(file);
    return blob;
  }

  // The weights, with progress over all of them.
  void Large(const std::vector<std::string>& names) {
    std::vector<HubFile> files;
    Index missing = 0;
    Index total = 0;
    for (const std::string& name : names) {
      if (hub_.IsLinked(name)) {
        Note(name, static_cast<Index>(fs::file_size(hub_.snapshot() / name)), false);
        continue;
      }
      files.push_back(hub_.Describe(name));
      missing += hub_.Missing(files.back());
      total += std::max<Index>(files.back().size, 0);
    }
    if (files.empty()) return;
    hub_.CheckRoom(missing);
    MegabyteProgress progress(work_, total);
    for (const HubFile& file : files) {
      const fs::path blob = hub_.Fetch(file, kMostWeightBytes, [&](Index have) { progress(have); });
      const auto bytes = static_cast<Index>(fs::file_size(blob));
      Note(file.name, bytes, true);
      progress.Next(bytes);
    }
    progress.Finish();
    linked_.insert(linked_.begin(), files.begin(), files.end());
  }

  // The weights come first: a snapshot with a configuration is whole.
  std::vector<PulledFile> Finish() {
    hub_.Link(linked_);
    return std::move(files_);
  }

 private:
  void Note(const std::string& name, Index bytes, bool fetched) {
    files_.push_back({.name = name, .bytes = bytes, .fetched = fetched});
  }

  const HubDownload& hub_;
  const Work& work_;
  std::vector<HubFile> linked_;
  std::vector<PulledFile> files_;
};

// Throws for a configuration that is not evaluated.
void CheckConfig(const fs::path& file, const std::string& config, const std::string& name) {
  const std::string where = fmt::format("{}: {}", Printable(name), config);
  try {
    const Json json = ReadJsonFile(file, kMostConfigBytes);
    if (config == "config.json") {
      ParseHuggingFaceConfig(json, config);
    } else {
      ParseOpenClipConfig(json, config);
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUnsupported) ThrowNotEvaluated(name, error.what());
    throw Error(error.code(), "{}: {}", where, error.what());
  }
}

// The parts that an index names, each a file of the repository.
std::vector<std::string> PartsOf(const fs::path& index, const HubDownload& hub,
                                 const std::string& name) {
  std::vector<std::string> parts = PartsOfIndex(index);
  for (const std::string& part : parts) {
    const bool plain = std::ranges::all_of(part, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '-' || c == '_' || c == '.';
    });
    if (!plain || part.starts_with('.') || part.size() > 200 || !hub.Has(part)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: its index of weights names '{}', which is no file of the repository; tell "
                  "its owner",
                  Printable(name), Printable(part));
    }
  }
  return parts;
}

[[noreturn]] void ThrowOffline(const std::string& name, const fs::path& cache) {
  throw Error(ErrorCode::kPrecondition,
              "{}: is not in the cache {}, and nothing is fetched while HF_HUB_OFFLINE or "
              "TRANSFORMERS_OFFLINE is set; unset it",
              Printable(name), PathText(cache));
}

// What is in the cache, where nothing may be fetched.
PulledModel Cached(const std::string& name, const Wanted& wanted) {
  PulledModel model;
  try {
    model.path = FindInHubCache(HubNameText(wanted.hub));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    ThrowOffline(name, HubCacheRoot());
  }
  model.commit = model.path.filename().string();
  for (const fs::directory_entry& entry : fs::directory_iterator(model.path)) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(entry.path(), error);
    if (error) continue;
    model.files.push_back({.name = entry.path().filename().string(),
                           .bytes = static_cast<Index>(bytes),
                           .fetched = false});
  }
  std::ranges::sort(model.files, {}, &PulledFile::name);
  return model;
}

// Says of the first file that is waited for what is going on.
std::function<void(const std::string&)> SayOnce(const PullOptions& options) {
  return [say = options.on_wait](const std::string& file) mutable {
    if (!say) return;
    std::exchange(say, {})(fmt::format("{}: another run is fetching it; waiting for that", file));
  };
}

// Weights from their other address.
PulledModel Original(const std::string& name, const PublishedWeights& row, HttpOptions http,
                     const PullOptions& options, const Work& work) {
  http.token.clear();
  const std::string url(row.url);
  const auto refuse = [&](const HttpAnswer& answer) {
    throw Error(answer.status == 404 ? ErrorCode::kNotFound : ErrorCode::kPrecondition,
                "{}: {} answers with status {}; leave out --original to take it from the hub",
                Printable(name), UrlText(url), answer.status);
  };
  PulledModel model;
  model.path = ClipCacheFile(row);
  std::error_code ignored;
  const bool there = fs::exists(model.path, ignored);
  if (!there) {
    const HttpAnswer head = HttpHead(url, http);
    if (head.status != 200) refuse(head);
    const Index size = ParseNumber<Index>(head.Header("content-length")).value_or(-1);
    const MegabyteProgress progress(work, size);
    fs::path lock = model.path;
    lock += ".lock";
    FetchChecked({.url = url,
                  .http = http,
                  .file = model.path,
                  .lock = lock,
                  .size = size,
                  .max_bytes = kMostWeightBytes,
                  .check =
                      [&](const fs::path& part) {
                        const std::string_view wanted = DigestIn(url);
                        if (wanted.empty()) return;
                        const std::string got = FileDigest(part, DigestKind::kSha256);
                        if (got.starts_with(wanted)) return;
                        throw Error(ErrorCode::kCorruptData,
                                    "{}: what came from {} has the SHA-256 {}, {} is expected; it "
                                    "was thrown away, run again",
                                    Printable(name), UrlText(url), got, wanted);
                      },
                  .refuse = refuse,
                  .progress = [&](Index have) { progress(have); },
                  .on_wait = [&] { SayOnce(options)(name); }});
    progress.Finish();
  }
  model.name = name;
  model.files.push_back({.name = model.path.filename().string(),
                         .bytes = static_cast<Index>(fs::file_size(model.path)),
                         .fetched = !there});
  return model;
}

PulledModel Fetched(const std::string& name, const Wanted& wanted, HubSettings settings,
                    const PullOptions& options, const Work& work) {
  settings.on_wait = SayOnce(options);
  const HubDownload hub(wanted.hub, std::move(settings));
  const Layout layout = ChooseLayout(hub, wanted, name, options.any);
  Pull pull(hub, work);
  if (!layout.config.empty()) {
    const fs::path config = pull.Small(layout.config, kMostConfigBytes);
    if (!options.any) CheckConfig(config, layout.config, name);
  }
  for (const char* file : kBeside) {
    if (hub.Has(file) && file != layout.config) pull.Small(file, kMostTextBytes);
  }
  std::vector<std::string> weights = {layout.weights};
  if (layout.weights.ends_with(".index.json")) {
    weights = PartsOf(pull.Small(layout.weights, kMostTextBytes), hub, name);
  }
  for (const char* file : kAdapterFiles) {
    if (hub.Has("adapter_config.json") && hub.Has(file)) weights.emplace_back(file);
  }
  pull.Large(weights);
  PulledModel model;
  model.files = pull.Finish();
  model.path = hub.snapshot();
  model.commit = hub.commit();
  return model;
}

}  // namespace

bool IsPullName(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return IsHubName(name) || (slash != std::string::npos &&
                             !PublishedTags(std::string_view(name).substr(0, slash)).empty());
}

FoundModel FindPulled(const std::string& name) {
  const Wanted wanted = Resolve(name, "");
  const PublishedWeights* row = wanted.published;
  if (row == nullptr) return {FindInHubCache(name), ""};
  try {
    return {FindInHubCache(HubNameText(wanted.hub)), ""};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
  }
  std::error_code ignored;
  if (fs::path file = ClipCacheFile(*row);
      !row->url.empty() && fs::is_regular_file(file, ignored)) {
    return {std::move(file), ArchitectureOf(*row)};
  }
  throw Error(ErrorCode::kNotFound, "{}: not in the cache {}; get it: cliplens pull {}",
              Printable(name), PathText(HubCacheRoot()), Printable(name));
}

PulledModel PullModel(const std::string& name, const PullOptions& options, const Work& work) {
  const Wanted wanted = Resolve(name, options.revision);
  HubSettings settings = HubSettingsHere();
  if (options.original) {
    if (wanted.published == nullptr || wanted.published->url.empty() || !options.revision.empty()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "{}: --original is for weights of open_clip's table that lie elsewhere too, without "
          "a revision; leave it out",
          Printable(name));
    }
    std::error_code ignored;
    if (settings.offline && !fs::exists(ClipCacheFile(*wanted.published), ignored)) {
      ThrowOffline(name, ClipCacheFile(*wanted.published).parent_path());
    }
    return Original(name, *wanted.published, settings.http, options, work);
  }
  PulledModel model = settings.offline ? Cached(name, wanted)
                                       : Fetched(name, wanted, std::move(settings), options, work);
  model.repository = wanted.hub.repository;
  model.revision = wanted.hub.revision;
  const bool main = wanted.hub.revision == "main";
  model.name = wanted.published != nullptr && main ? name : HubNameText(wanted.hub);
  return model;
}

}  // namespace cliplens
