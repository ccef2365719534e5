#include "cliplens/model/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/config_reader.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapterConfig = "adapter_config.json";
constexpr const char* kAdapterWeights[] = {"adapter_model.safetensors", "adapter_model.bin"};
constexpr Index kMaxAdapterConfig = Index{1} << 20;
constexpr Index kMaxRank = 16'384;
constexpr std::size_t kMaxPatterns = 1'000;

// Of names of an adapter's tensors, in front of a part's name or behind "w_" in it.
constexpr std::string_view kAdapterParts[] = {"lora_",  "base_layer",     "ia3_",  "hada_",
                                              "lokr_",  "oft_",           "boft_", "vera_lambda",
                                              "w_lora", "modules_to_save"};

// How people merge an adapter, for messages.
std::string MergeLines(const std::string& base, const std::string& adapter) {
  return fmt::format(
      "model = peft.PeftModel.from_pretrained(transformers.CLIPModel.from_pretrained(\"{}\"), "
      "\"{}\").merge_and_unload(); model.save_pretrained(\"merged\")",
      base, adapter);
}

struct AdapterConfig {
  std::string name;  // of the file, for messages
  std::string base;
  double alpha = 8;
  bool rank_stabilised = false;
  std::vector<std::pair<std::string, double>> alpha_of;  // of modules by the end of their names
};

Json ReadAdapterConfig(const fs::path& directory) {
  return ReadJsonFile(directory / kAdapterConfig, kMaxAdapterConfig);
}

std::string BaseOf(const Json& config, const std::string& name) {
  return Printable(ConfigReader(config, name).Text("base_model_name_or_path", "BASE MODEL"));
}

bool SaysNothing(const Json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

// A key of alpha_pattern is a regular expression for the end of a module's name. Those that people
// write are names.
bool IsPlainPattern(std::string_view pattern) {
  return std::ranges::all_of(pattern, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
}

AdapterConfig ParseAdapterConfig(const Json& json, const fs::path& directory) {
  AdapterConfig config;
  config.name = PathText(directory / kAdapterConfig);
  ConfigReader reader(json, config.name);
  config.base = BaseOf(json, config.name);
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::kUnsupported, "{}: {}, which is not merged here; merge it with peft: {}",
                config.name, what, MergeLines(config.base, PathText(directory)));
  };
  const std::string type = reader.Text("peft_type", "");
  if (type != "LORA") refuse(fmt::format("'peft_type' is '{}'", Printable(type)));
  config.alpha = reader.Number("lora_alpha", 8);
  config.rank_stabilised = reader.Bool("use_rslora", false);
  if (reader.Has("alpha_pattern")) {
    const Json& patterns = reader.Object("alpha_pattern");
    if (patterns.size() > kMaxPatterns) {
      refuse(fmt::format("'alpha_pattern' has {} patterns", patterns.size()));
    }
    for (const auto& [pattern, value] : patterns.items()) {
      if (!IsPlainPattern(pattern) || !value.is_number()) {
        refuse(fmt::format("'alpha_pattern' has the pattern '{}' with {}", Printable(pattern, 80),
                           JsonExcerpt(value)));
      }
      config.alpha_of.emplace_back(pattern, value.get<double>());
    }
  }
  // These initialise A and B, and leave the weights as they are; others change the weights too.
  if (reader.Has("init_lora_weights")) {
    const Json& init = reader.json("init_lora_weights");
    if (!init.is_boolean() && init != "gaussian" && init != "orthogonal" && init != "eva") {
      refuse(fmt::format("'init_lora_weights' is {}", JsonExcerpt(init)));
    }
  }
  // Which modules are adapted is seen from the tensors; the rest concerns training.
  static const std::set<std::string, std::less<>> kKnown = {"peft_type",
                                                            "lora_alpha",
                                                            "use_rslora",
                                                            "alpha_pattern",
                                                            "init_lora_weights",
                                                            "base_model_name_or_path",
                                                            "r",
                                                            "rank_pattern",
                                                            "lora_dropout",
                                                            "target_modules",
                                                            "exclude_modules",
                                                            "modules_to_save",
                                                            "layers_to_transform",
                                                            "layers_pattern",
                                                            "bias",
                                                            "task_type",
                                                            "inference_mode",
                                                            "revision",
                                                            "auto_mapping",
                                                            "peft_version",
                                                            "qalora_group_size",
                                                            "runtime_config",
                                                            "eva_config",
                                                            "ensure_weight_tying",
                                                            "megatron_core"};
  for (const auto& [key, value] : json.items()) {
    if (kKnown.contains(key) || SaysNothing(value)) continue;
    refuse(fmt::format("'{}' is {}", Printable(key, 80), JsonExcerpt(value)));
  }
  return config;
}

// W + s B A, of one tensor.
struct Update {
  std::string a, b;  // names in the adapter's file
  double scale = 0;
  bool turned = false;  // of an embedding: W^T + s B A
};

class AdaptedTensors : public TensorFile {
 public:
  AdaptedTensors(std::unique_ptr<TensorFile> base, const fs::path& directory,
                 const std::string& prefix)
      : base_(std::move(base)), adapter_(OpenAdapter(directory)) {
    const Json json = ReadAdapterConfig(directory);
    const AdapterConfig config = ParseAdapterConfig(json, directory);
    infos_ = base_->tensors();
    for (const auto& [name, info] : adapter_->tensors()) Place(name, prefix, config, directory);
    for (const auto& [target, update] : updates_) Check(target, update);
    if (updates_.empty() && replaced_.empty()) {
      throw Error(ErrorCode::kCorruptData, "{}: holds no tensors; fetch the adapter again",
                  PathText(adapter_->files().front()));
    }
  }

  std::string kind() const override { return base_->kind() + " with a LoRA adapter"; }
  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }

  std::vector<float> ReadAsFloat(const std::string& name) const override {
    if (const auto found = replaced_.find(name); found != replaced_.end()) {
      return adapter_->ReadAsFloat(found->second);
    }
    std::vector<float> values = base_->ReadAsFloat(name);
    const auto found = updates_.find(name);
    if (found == updates_.end()) return values;
    const Update& update = found->second;
    const std::vector<float> a = adapter_->ReadAsFloat(update.a);
    const std::vector<float> b = adapter_->ReadAsFloat(update.b);
    const Index rank = adapter_->tensors().at(update.a).shape[0];
    const Index columns = static_cast<Index>(a.size()) / rank;
    const Index rows = static_cast<Index>(b.size()) / rank;
    Matrix product = Matrix::Zero(rows, columns);
    nn::AddProduct(nn::Operand<float>{b.data(), rows, rank, rank, 1},
                   nn::Operand<float>{a.data(), rank, columns, columns, 1}, product);
    for (Index r = 0; r < rows; ++r) {
      for (Index c = 0; c < columns; ++c) {
        float& value = At(values, update.turned ? c * rows + r : r * columns + c);
        value = static_cast<float>(static_cast<double>(value) + update.scale * product(r, c));
      }
    }
    return values;
  }

  double ReadScalar(const std::string& name) const override {
    const auto found = replaced_.find(name);
    return found == replaced_.end() ? base_->ReadScalar(name) : adapter_->ReadScalar(found->second);
  }
  fs::path FileOf(const std::string& name) const override {
    const auto found = replaced_.find(name);
    return found == replaced_.end() ? base_->FileOf(name) : adapter_->FileOf(found->second);
  }
  std::vector<fs::path> files() const override {
    std::vector<fs::path> files = base_->files();
    for (fs::path& file : adapter_->files()) files.push_back(std::move(file));
    return files;
  }

 private:
  static std::unique_ptr<TensorFile> OpenAdapter(const fs::path& directory) {
    std::error_code ignored;
    for (const char* name : kAdapterWeights) {
      if (fs::exists(directory / name, ignored)) return OpenTensorFile(directory / name);
    }
    throw Error(ErrorCode::kNotFound,
                "{}: {} is there, but neither {} nor {}; fetch the adapter again, or take the file "
                "away to read the weights without it",
                PathText(directory), kAdapterConfig, kAdapterWeights[0], kAdapterWeights[1]);
  }

  // Notes what a tensor of the adapter is for.
  void Place(const std::string& name, const std::string& prefix, const AdapterConfig& config,
             const fs::path& directory) {
    constexpr std::string_view kOuter = "base_model.model.";
    std::string_view rest = name;
    if (rest.starts_with(kOuter)) rest.remove_prefix(kOuter.size());
    struct Kind {
      std::string_view ending;
      bool is_a, turned;
    };
    constexpr Kind kKinds[] = {{".lora_A.weight", true, false},
                               {".lora_B.weight", false, false},
                               {".lora_embedding_A", true, true},
                               {".lora_embedding_B", false, true}};
    for (const Kind& kind : kKinds) {
      if (!rest.ends_with(kind.ending)) continue;
      const std::string module(rest.substr(0, rest.size() - kind.ending.size()));
      Update& update = updates_[prefix + module + ".weight"];
      (kind.is_a ? update.a : update.b) = name;
      update.turned = kind.turned;
      if (kind.is_a) update.scale = ScaleOf(module, name, config);
      return;
    }
    // Biases that were trained too, and modules that were saved whole.
    std::string target = prefix + std::string(rest);
    constexpr std::string_view kAdapted = ".base_layer.";  // in names of adapted modules' biases
    if (const std::size_t at = target.find(kAdapted); at != std::string::npos) {
      target.replace(at, kAdapted.size(), ".");
    }
    if (!base_->tensors().contains(target)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: tensor '{}' is neither LoRA's nor one of the model's; merge the adapter "
                  "with peft: {}",
                  PathText(adapter_->FileOf(name)), Printable(name),
                  MergeLines(config.base, PathText(directory)));
    }
    replaced_[target] = name;
    infos_[target] = adapter_->tensors().at(name);
  }

  double ScaleOf(const std::string& module, const std::string& a,
                 const AdapterConfig& config) const {
    const std::vector<Index>& shape = adapter_->tensors().at(a).shape;
    const Index rank = shape.empty() ? 0 : shape[0];
    if (rank < 1 || rank > kMaxRank) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' has shape {}, which is no rank from 1 to {}",
                  PathText(adapter_->FileOf(a)), Printable(a), ShapeText(shape), kMaxRank);
    }
    double alpha = config.alpha;
    for (const auto& [pattern, value] : config.alpha_of) {
      if (module != pattern && !module.ends_with("." + pattern)) continue;
      alpha = value;
      break;
    }
    const auto r = static_cast<double>(rank);
    return alpha / (config.rank_stabilised ? std::sqrt(r) : r);
  }

  // Throws unless A [r, inputs ...] and B [outputs, r, 1 ...] make the target's [outputs, inputs
  // ...].
  void Check(const std::string& target, const Update& update) const {
    const std::string where = PathText(adapter_->files().front());
    if (update.a.empty() || update.b.empty()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' has no other half of LoRA's two; fetch the adapter again", where,
                  Printable(update.a.empty() ? update.b : update.a));
    }
    const auto base = base_->tensors().find(target);
    if (base == base_->tensors().end()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' is for '{}', which the weights beside it do not have; the two "
                  "do not belong together",
                  where, Printable(update.a), Printable(target));
    }
    const std::vector<Index>& a = adapter_->tensors().at(update.a).shape;
    const std::vector<Index>& b = adapter_->tensors().at(update.b).shape;
    std::vector<Index> made;
    if (b.size() >= 2 && b[1] == a[0] &&
        std::ranges::all_of(b.begin() + 2, b.end(), [](Index n) { return n == 1; })) {
      made = a;
      made[0] = b[0];
      if (update.turned) std::ranges::reverse(made);
    }
    if (made != base->second.shape) {
      throw Error(
          ErrorCode::kCorruptData,
          "{}: tensors '{}' {} and '{}' {} do not make '{}' {}; the adapter does not belong "
          "to these weights",
          where, Printable(update.b), ShapeText(b), Printable(update.a), ShapeText(a),
          Printable(target), ShapeText(base->second.shape));
    }
  }

  std::unique_ptr<TensorFile> base_;
  std::unique_ptr<TensorFile> adapter_;
  std::map<std::string, TensorInfo> infos_;
  std::map<std::string, Update> updates_;        // by the names in `base`
  std::map<std::string, std::string> replaced_;  // names in `base` to those in the adapter
};

}  // namespace

bool HasAdapter(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kAdapterConfig, ignored);
}

void ThrowAdapterAlone(const fs::path& directory) {
  const Json json = ReadAdapterConfig(directory);
  const std::string base = BaseOf(json, PathText(directory / kAdapterConfig));
  throw Error(ErrorCode::kUnsupported,
              "{}: an adapter without the weights of its model, '{}'; put {} and {} beside these "
              "weights, or merge the two: {}",
              PathText(directory), base, kAdapterConfig, kAdapterWeights[0],
              MergeLines(base, PathText(directory)));
}

std::unique_ptr<TensorFile> WithAdapter(std::unique_ptr<TensorFile> base, const fs::path& directory,
                                        const std::string& prefix) {
  return std::make_unique<AdaptedTensors>(std::move(base), directory, prefix);
}

void RefuseAdapterTensors(const TensorFile& file) {
  for (const auto& [name, info] : file.tensors()) {
    std::string_view rest = name;
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(part.size() + 1, rest.size()));
      if (std::ranges::none_of(kAdapterParts,
                               [&](std::string_view p) { return part.starts_with(p); })) {
        continue;
      }
      throw Error(
          ErrorCode::kUnsupported,
          "{}: holds an adapter that is not merged (tensor '{}'), and not the scale that it "
          "is merged with; merge it where it was trained: model = model.merge_and_unload(); "
          "torch.save(model.state_dict(), \"merged.pt\")",
          PathText(file.FileOf(name)), Printable(name));
    }
  }
}

}  // namespace cliplens
