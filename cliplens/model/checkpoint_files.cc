#include "cliplens/model/checkpoint_files.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/adapter.h"
#include "cliplens/model/architectures.h"
#include "cliplens/model/module_wrappers.h"
#include "cliplens/model/preprocess_config.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr Index kMaxConfigBytes = Index{1} << 20;

// Tensors that OpenAI's archives have beside the weights.
constexpr const char* kOpenAiMarks[] = {"input_resolution", "context_length", "vocab_size"};

// Throws for a model whose tensors say that it is not evaluated; `with_text`: as its text tower is
// to be.
void RefuseKnown(const TensorFile& file, std::string_view prefix, bool with_text) {
  for (const auto& [name, info] : file.tensors()) {
    if (!name.starts_with(prefix)) continue;
    for (const RefusedTensor& refused : RefusedTensors()) {
      if (refused.text && !with_text) continue;
      if (name.find(refused.part, prefix.size()) == std::string::npos) continue;
      throw Error(ErrorCode::kUnsupported, "{}: {} (tensor '{}'); such models are not supported",
                  PathText(file.FileOf(name)), refused.reason, Printable(name));
    }
  }
}

// A model in a file: the family of its names, and what stands before each of them.
using FoundModel = std::pair<const TensorFamily*, std::string>;

// What --weights says for a prefix: "model_ema" for "model_ema.", "." for none.
std::string WeightsName(const std::string& prefix) {
  return prefix.empty() ? "." : prefix.substr(0, prefix.size() - 1);
}

// The one of several models that is meant: a file may hold weights and their moving average, and
// nothing in it says which of the two to take.
FoundModel ChooseModel(const std::vector<FoundModel>& found, const std::string& weights,
                       const std::string& where) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> options;
  std::vector<FoundModel> within;
  for (const FoundModel& model : found) {
    const std::string name = WeightsName(model.second);
    if (name == weights) return model;
    if (name.starts_with(weights + ".")) within.push_back(model);
    if (options.size() < kShown) options.push_back("--weights " + Printable(name));
  }
  if (!weights.empty() && within.size() == 1) return within.front();
  if (weights.empty() && found.size() == 1) return found.front();
  if (weights.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: holds {} models; say which is meant: {}{}", where,
                found.size(), fmt::join(options, " or "), found.size() > kShown ? ", ..." : "");
  }
  throw Error(ErrorCode::kInvalidArgument, "{}: has no weights under '{}'; there is {}{}", where,
              Printable(weights), fmt::join(options, " and "),
              found.size() > kShown ? ", ..." : "");
}

// The family of a file and the prefix of its names.
void FindFamily(OpenedCheckpoint& opened) {
  const TensorFile& file = *opened.file;
  const std::string where = PathText(file.files().front());
  RefuseAdapterTensors(file);
  std::vector<FoundModel> found;
  std::set<std::string> anchors;  // tensors that are one family's anchor
  for (const TensorFamily& family : TensorFamilies()) {
    for (const auto& [name, info] : file.tensors()) {
      if (!name.ends_with(family.anchor)) continue;
      const std::string prefix = name.substr(0, name.size() - family.anchor.size());
      if (!prefix.empty() && !prefix.ends_with('.')) continue;
      if (!family.text_anchor.empty() &&
          !file.tensors().contains(prefix + std::string(family.text_anchor))) {
        continue;
      }
      if (anchors.insert(name).second) found.emplace_back(&family, prefix);
    }
  }
  // An optimizer's averages of gradients may have the weights' names.
  std::erase_if(found, [](const FoundModel& model) { return model.second.starts_with("optim"); });
  if (!found.empty()) {
    std::tie(opened.family, opened.prefix) = ChooseModel(found, opened.checkpoint.weights, where);
    RefuseKnown(file, opened.prefix, /*with_text=*/false);
    return;
  }
  RefuseKnown(file, "", /*with_text=*/true);
  std::set<std::string_view> looked_for;
  for (const TensorFamily& family : TensorFamilies()) looked_for.insert(family.anchor);
  throw Error(ErrorCode::kUnsupported, "{}: no CLIP model: neither '{}' is among its {} tensors{}",
              where, fmt::join(looked_for, "' nor '"), file.tensors().size(),
              file.tensors().empty()
                  ? std::string()
                  : fmt::format(" ('{}' first)", Printable(file.tensors().begin()->first)));
}

// Sizes from the tensors' shapes as OpenAI's build_model takes them: heads are 64 wide, MLPs four
// times the width, the activation is QuickGELU.
ModelConfig InferOpenAi(const OpenedCheckpoint& opened) {
  const TensorFile& file = *opened.file;
  const std::string where = PathText(file.files().front());
  const auto shape = [&](const char* name, std::size_t axes) {
    const auto found = file.tensors().find(opened.prefix + name);
    if (found == file.tensors().end() || found->second.shape.size() != axes) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}{}' is missing or has no {} axes, so the sizes cannot be told; "
                  "name the architecture with --arch",
                  where, Printable(opened.prefix), name, axes);
    }
    return found->second.shape;
  };
  const auto layers = [&](std::string_view pattern) {
    Index count = 0;
    while (file.tensors().contains(opened.prefix + WithLayer(pattern, count))) ++count;
    return count;
  };
  // The bounds and their messages are those of a configuration file.
  const std::vector<Index> conv = shape("visual.conv1.weight", 4);
  const Index tokens = shape("visual.positional_embedding", 2)[0];
  constexpr Index kMaxSide = 4096;
  if (tokens < 2 || conv[3] > kMaxSide) {
    throw Error(ErrorCode::kCorruptData, "{}: {} image tokens of patches {} wide are no model's",
                where, tokens, conv[3]);
  }
  const auto grid = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(tokens - 1))));
  const Index text_width = shape("ln_final.weight", 1)[0];
  const Json config = {{"embed_dim", shape("text_projection", 2)[1]},
                       {"quick_gelu", true},
                       {"vision_cfg",
                        {{"image_size", conv[3] * std::min(grid, kMaxSide)},
                         {"patch_size", conv[3]},
                         {"layers", layers("visual.transformer.resblocks.{}.attn.in_proj_weight")},
                         {"width", conv[0]},
                         {"head_width", 64}}},
                       {"text_cfg",
                        {{"context_length", shape("positional_embedding", 2)[0]},
                         {"vocab_size", shape("token_embedding.weight", 2)[0]},
                         {"width", text_width},
                         {"heads", text_width / 64},
                         {"layers", layers("transformer.resblocks.{}.attn.in_proj_weight")}}}};
  ModelConfig result = ParseOpenClipConfig(config, where + ": sizes of its tensors");
  // OpenAI's archives have tensors for three of the sizes.
  const std::pair<const char*, Index> said[] = {{"input_resolution", result.preprocess.image_size},
                                                {"context_length", result.context_length},
                                                {"vocab_size", result.vocabulary_size}};
  for (const auto& [name, size] : said) {
    const std::string full = opened.prefix + name;
    if (!file.tensors().contains(full)) continue;
    const double value = file.ReadScalar(full);
    if (value != static_cast<double>(size)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: '{}' is {}, the tensors' shapes say {}; the file is damaged", where,
                  Printable(full), value, size);
    }
  }
  return result;
}

// Whether a file says by itself that it is one of OpenAI's.
bool IsOpenAi(const OpenedCheckpoint& opened) {
  return opened.family == &OpenClipFamily() &&
         std::ranges::all_of(kOpenAiMarks, [&](const char* name) {
           return opened.file->tensors().contains(opened.prefix + name);
         });
}

// The architectures whose sizes a file of weights has.
std::vector<std::string_view> Fitting(const OpenedCheckpoint& opened) {
  const auto& tensors = opened.file->tensors();
  std::vector<std::string_view> fit;
  for (const std::string_view name : ArchitectureNames()) {
    const ModelConfig config = FindArchitecture(std::string(name));
    // Of a model with open_clip's own text tower the image tower alone would fit.
    if (!config.has_text() && (tensors.contains(opened.prefix + "ln_final.weight") ||
                               tensors.contains(opened.prefix + "text.ln_final.weight"))) {
      continue;
    }
    const bool fits = std::ranges::all_of(opened.family->rows, [&](const TensorRow& row) {
      if (!Uses(config, row)) return true;
      const Index layers = LayersOf(row, config);
      const TensorInFile last = TensorsInFile(row, layers - 1, config).front();
      const auto found = tensors.find(opened.prefix + last.name);
      return found != tensors.end() && (last.shape.empty() || found->second.shape == last.shape) &&
             (!IsInLayers(row) ||
              !tensors.contains(opened.prefix + TensorsInFile(row, layers, config).front().name));
    });
    if (fits) fit.push_back(name);
  }
  return fit;
}

std::string Candidates(const OpenedCheckpoint& opened) {
  const std::vector<std::string_view> fit = Fitting(opened);
  if (fit.empty()) return "none of the known ones has its sizes";
  return fmt::format("its sizes are those of {}", fmt::join(fit, ", "));
}

// Throws for a file of OpenAI's with another activation than that of all its models: with GELU its
// embeddings look plausible and are wrong.
void CheckActivation(const OpenedCheckpoint& opened) {
  const Checkpoint& c = opened.checkpoint;
  if (!IsOpenAi(opened) || c.config.vision.activation == Activation::kQuickGelu) return;
  std::string instead;
  for (const std::string_view name : Fitting(opened)) {
    if (name.ends_with("-quickgelu")) instead = fmt::format("say --arch {}", name);
  }
  if (c.architecture.empty() || c.architecture.ends_with(".json")) {
    instead = "set \"quick_gelu\": true in the configuration";
  }
  if (!c.architecture.empty()) {
    instead = instead.empty() ? "leave --arch out" : "leave --arch out or " + instead;
  }
  throw Error(ErrorCode::kInvalidArgument,
              "{}: is OpenAI's (it has {}), whose models have QuickGELU, and {} has GELU; {}",
              PathText(opened.file->files().front()), fmt::join(kOpenAiMarks, ", "),
              c.architecture.empty() ? "the configuration beside it"
                                     : Printable("--arch " + c.architecture),
              instead);
}

void OpenFile(OpenedCheckpoint& opened, const std::string& architecture) {
  Checkpoint& c = opened.checkpoint;
  opened.file = WithoutWrappers(OpenTensorFile(c.path));
  FindFamily(opened);
  c.files = opened.file->files();
  const std::string kind = opened.file->kind();
  if (architecture == "openai" || (architecture.empty() && IsOpenAi(opened))) {
    if (opened.family != &OpenClipFamily()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: has Hugging Face's names of tensors, not OpenAI's; name its architecture "
                  "instead of openai",
                  PathText(c.path));
    }
    c.config = InferOpenAi(opened);
    c.layout = fmt::format("OpenAI's weights, {}", kind);
    return;
  }
  if (architecture.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: weights without a configuration; name the architecture with --arch (its activation "
        "cannot be told from the weights): {}; openai for weights that OpenAI trained",
        PathText(c.path), Candidates(opened));
  }
  std::error_code ignored;
  if (architecture.ends_with(".json")) {
    const fs::path file = fs::weakly_canonical(architecture, ignored);
    c.architecture = file.string();
    c.config = ParseOpenClipConfig(ReadJsonFile(file, kMaxConfigBytes), PathText(file));
    c.vocabulary = file.parent_path();
    c.files.insert(c.files.begin(), file);
  } else {
    c.config = FindArchitecture(architecture);
    // Files of a tokenizer of its own; CLIP's is not looked for beside a checkpoint.
    if (c.config.text_rule) c.vocabulary = fs::absolute(c.path, ignored).parent_path();
  }
  CheckActivation(opened);
  c.layout = fmt::format("weights with {} names, {}", opened.family->name, kind);
}

void ReadHuggingFacePreprocessor(Checkpoint& c) {
  std::error_code ignored;
  const Index image_size = c.config.preprocess.image_size;
  fs::path file = c.path / "preprocessor_config.json";
  const char* member = nullptr;
  if (!fs::exists(file, ignored)) {
    file = c.path / "processor_config.json";
    member = "image_processor";
    if (!fs::exists(file, ignored)) {
      Json defaults = Json::object();
      defaults["size"] = {{"shortest_edge", image_size}};
      defaults["crop_size"] = {{"height", image_size}, {"width", image_size}};
      c.config.preprocess = ParseHuggingFacePreprocessor(defaults, PathText(c.path));
      return;
    }
  }
  Json json = ReadJsonFile(file, kMaxConfigBytes);
  if (member != nullptr) {
    Json inner = JsonField<Json>(json, member, PathText(file));
    json = std::move(inner);
  }
  c.config.preprocess = ParseHuggingFacePreprocessor(json, PathText(file));
  c.files.push_back(file);
  if (c.config.preprocess.image_size != image_size) {
    throw Error(ErrorCode::kCorruptData,
                "{}: makes pictures of {} x {}, the model reads {} x {}; the two files do not "
                "belong together",
                PathText(file), c.config.preprocess.image_size, c.config.preprocess.image_size,
                image_size, image_size);
  }
}

// A directory with a configuration and weights, under the names that its makers give them. The
// first that is there counts.
struct DirectoryLayout {
  const char* name;
  const char* config;
  ModelConfig (*parse)(const Json& file, const std::string& name);
  void (*read_more)(Checkpoint& checkpoint);  // further files; null: there are none
  std::array<const char*, 4> weights;
};

constexpr DirectoryLayout kDirectories[] = {
    {"open_clip directory",
     "open_clip_config.json",
     ParseOpenClipConfig,
     nullptr,
     {"open_clip_model.safetensors", "open_clip_model.safetensors.index.json",
      "open_clip_pytorch_model.bin", "open_clip_pytorch_model.bin.index.json"}},
    {"Hugging Face directory",
     "config.json",
     ParseHuggingFaceConfig,
     ReadHuggingFacePreprocessor,
     {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
      "pytorch_model.bin.index.json"}},
};

// The layout of a directory and its file of weights.
std::pair<const DirectoryLayout*, const char*> FindLayout(const fs::path& path) {
  std::error_code ignored;
  std::string lacks;
  for (const DirectoryLayout& layout : kDirectories) {
    if (!fs::exists(path / layout.config, ignored)) continue;
    for (const char* file : layout.weights) {
      if (fs::exists(path / file, ignored)) return {&layout, file};
    }
    lacks += fmt::format("{}{} is there, but none of {}", lacks.empty() ? "" : "; ", layout.config,
                         fmt::join(layout.weights, ", "));
  }
  if (HasAdapter(path)) ThrowAdapterAlone(path);
  std::vector<const char*> configs;
  for (const DirectoryLayout& layout : kDirectories) configs.push_back(layout.config);
  throw Error(
      ErrorCode::kNotFound,
      "{}: no model in it: {}; a model is a directory with {} and weights, or a checkpoint file",
      PathText(path),
      lacks.empty() ? fmt::format("there is no {}", fmt::join(configs, " and no ")) : lacks,
      fmt::join(configs, " or "));
}

// A directory's configuration; its weights are opened if `with_weights`.
void OpenDirectory(OpenedCheckpoint& opened, const std::string& architecture, bool with_weights) {
  Checkpoint& c = opened.checkpoint;
  const auto [layout, file_of_weights] = FindLayout(c.path);
  if (!architecture.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: has a configuration of its own, {}; --arch is for a checkpoint file",
                PathText(c.path), layout->config);
  }
  const fs::path config = c.path / layout->config;
  c.config = layout->parse(ReadJsonFile(config, kMaxConfigBytes), PathText(config));
  c.vocabulary = c.path;
  c.files.push_back(config);
  if (layout->read_more != nullptr) layout->read_more(c);
  if (!with_weights) return;
  opened.file = WithoutWrappers(OpenTensorFile(c.path / file_of_weights));
  FindFamily(opened);
  CheckActivation(opened);
  if (HasAdapter(c.path)) {
    opened.file = WithAdapter(std::move(opened.file), c.path, opened.prefix);
    c.files.push_back(c.path / "adapter_config.json");
  }
  for (const fs::path& file : opened.file->files()) c.files.push_back(file);
  c.layout = fmt::format("{}, {}", layout->name, opened.file->kind());
}

// The model's name, for people: that of its directory or file; of a directory in the hub's cache
// that of the repository.
std::string NameOfModel(const fs::path& path, bool directory) {
  if (!directory) return path.filename().string();
  std::error_code failed;
  const fs::path named = fs::weakly_canonical(path, failed);
  fs::path whole = failed ? path : named;
  // In the hub's cache the directory is a commit; the repository's name stands two above it.
  if (whole.parent_path().filename() == "snapshots") whole = whole.parent_path().parent_path();
  std::string name = whole.filename().string();
  constexpr std::string_view kHubPrefix = "models--";
  if (name.starts_with(kHubPrefix)) {
    name.erase(0, kHubPrefix.size());
    if (const std::size_t dashes = name.find("--"); dashes != std::string::npos) {
      name.replace(dashes, 2, "/");
    }
  }
  return name;
}

}  // namespace

std::span<const ModelFileNames> ModelFiles() {
  static const std::vector<ModelFileNames> names = [] {
    std::vector<ModelFileNames> all;
    all.reserve(std::size(kDirectories));
    for (const DirectoryLayout& layout : kDirectories) {
      all.push_back({layout.config, layout.weights});
    }
    return all;
  }();
  return names;
}

bool HoldsModel(const fs::path& directory) {
  std::error_code ignored;
  const auto has = [&](const std::string& file) { return fs::exists(directory / file, ignored); };
  for (const ModelFileNames& names : ModelFiles()) {
    if (!has(names.config)) continue;
    const auto weights = std::ranges::find_if(names.weights, has);
    if (weights == names.weights.end()) continue;
    if (!std::string_view(*weights).ends_with(".json")) return true;
    try {
      return std::ranges::all_of(PartsOfIndex(directory / *weights), has);
    } catch (const Error&) {
      return true;  // what is wrong with it is said when it is read
    }
  }
  return false;
}

OpenedCheckpoint OpenCheckpoint(const fs::path& path, const std::string& architecture,
                                const std::string& weights, bool with_weights) {
  OpenedCheckpoint opened;
  Checkpoint& c = opened.checkpoint;
  std::error_code ignored;
  c.path = path;
  c.architecture = architecture;
  c.weights = weights;
  RefuseAddress(path);
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such model; give a directory, a checkpoint file, the name of a shipped "
                "model, or hf:ORG/NAME or open_clip's ARCH/TAG for one that 'cliplens pull' has "
                "fetched",
                PathText(path));
  }
  const bool directory = fs::is_directory(path, ignored);
  c.name = NameOfModel(path, directory);
  if (directory) {
    OpenDirectory(opened, architecture, with_weights);
  } else {
    OpenFile(opened, architecture);
  }
  if (opened.file && c.config.has_text()) RefuseKnown(*opened.file, opened.prefix, true);
  return opened;
}

}  // namespace cliplens
