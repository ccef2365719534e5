// A CLIP with random weights, written as an open_clip hub directory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/tensor_table.h"

namespace cliplens {

struct RandomModel {
  Index embed_width = 10;
  Index layers = 3;
  Index width = 12;
  Index heads = 2;  // K = 6
  double mlp_ratio = 2.5;
  Index patch = 7;
  Index side = 21;
  bool quick_gelu = false;
  bool ln_pre = true;
  bool layer_scale = false;
  Index text_width = 8;
  Index text_heads = 2;
  double text_mlp_ratio = 2;
  std::uint64_t seed = 1;
  // Changes to what is written.
  std::map<std::string, std::vector<Index>> shapes = {};  // a tensor with another shape
  std::string without = {};                               // a tensor left out

  Index head_width() const { return width / heads; }

  Json Config() const {
    Json config = BaseConfig();
    Json& vision = config["model_cfg"]["vision_cfg"];
    if (!ln_pre) vision["no_ln_pre"] = true;
    if (layer_scale) vision["ls_init_value"] = 0.1;
    return config;
  }

  struct Held {
    std::string name;  // open_clip's
    std::string ours;
    std::vector<Index> shape;
    std::vector<float> values;
  };

  Json BaseConfig() const {
    return {{"model_cfg",
             {{"embed_dim", embed_width},
              {"quick_gelu", quick_gelu},
              {"vision_cfg",
               {{"image_size", side},
                {"layers", layers},
                {"width", width},
                {"head_width", head_width()},
                {"patch_size", patch},
                {"mlp_ratio", mlp_ratio}}},
              {"text_cfg",
               {{"context_length", 9},
                {"vocab_size", 520},
                {"width", text_width},
                {"heads", text_heads},
                {"layers", 2},
                {"mlp_ratio", text_mlp_ratio}}}}}};
  }

  // The weights under open_clip's names.
  std::vector<Held> Weights() const {
    const ModelConfig config = ParseOpenClipConfig(Config(), "test");
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    std::vector<Held> held;
    for (const TensorRow& row : OpenClipFamily().rows) {
      const std::string_view ours = row.name;
      const bool vision = ours.starts_with("vision.");
      const TowerConfig& tower = vision ? config.vision : config.text;
      if (!Uses(config, row)) continue;
      const bool layered = ours.find("{}") != std::string_view::npos;
      for (Index l = 0; l < (layered ? tower.layers : 1); ++l) {
        Held tensor;
        tensor.name = row.in_file;
        tensor.ours = row.name;
        for (std::string* name : {&tensor.name, &tensor.ours}) {
          if (layered) name->replace(name->find("{}"), 2, std::to_string(l));
        }
        if (tensor.name == without) continue;
        tensor.shape = Shape(row.shape, tower, config);
        if (shapes.contains(tensor.name)) tensor.shape = shapes.at(tensor.name);
        Index n = 1;
        for (Index d : tensor.shape) n *= d;
        // Gains lie about one; matrices keep the scale of what they are given.
        const bool gain = ours.ends_with("gain");
        const float scale = tensor.shape.size() > 1
                                ? 0.8f / std::sqrt(static_cast<float>(n / tensor.shape[0]))
                                : 0.3f;
        for (Index i = 0; i < n; ++i) {
          tensor.values.push_back((gain ? 1.0f : 0.0f) + scale * normal(random));
        }
        held.push_back(std::move(tensor));
      }
    }
    return held;
  }

  // Writes configuration, weights and a vocabulary of bytes with two merges.
  void Write(const std::filesystem::path& directory) const {
    std::filesystem::create_directories(directory);
    WriteFileAtomically(directory / "open_clip_config.json", DumpJson(Config()));
    WriteTensors(directory / "open_clip_model.safetensors", Weights());
    WriteVocabulary(directory);
  }

  static void WriteTensors(const std::filesystem::path& path, const std::vector<Held>& held) {
    std::vector<TensorToWrite> tensors;
    for (const Held& h : held) {
      tensors.push_back({h.name,
                         DataType::kF32,
                         h.shape,
                         {reinterpret_cast<const std::uint8_t*>(h.values.data()),
                          h.values.size() * sizeof(float)}});
    }
    WriteSafetensors(path, tensors);
  }

 private:
  static std::vector<Index> Shape(std::string_view letters, const TowerConfig& tower,
                                  const ModelConfig& config) {
    std::vector<Index> shape;
    const std::map<char, Index> sizes = {
        {'D', tower.width},       {'F', tower.mlp_width},       {'P', config.patch_size},
        {'N', config.tokens()},   {'T', config.context_length}, {'V', config.vocabulary_size},
        {'E', config.embed_width}};
    for (std::size_t i = 0; i < letters.size(); ++i) {
      if (letters[i] == ',') continue;
      Index factor = 1;
      if (letters[i] == '3') {
        factor = 3;
        if (i + 1 == letters.size() || letters[i + 1] == ',') {
          shape.push_back(3);
          continue;
        }
        ++i;
      }
      shape.push_back(factor * sizes.at(letters[i]));
    }
    return shape;
  }

  // 256 bytes, 256 at the end of a word, two merges, start and end: ids as CLIP counts them.
  static void WriteVocabulary(const std::filesystem::path& directory) {
    std::vector<int> code_points;
    for (int b = '!'; b <= '~'; ++b) code_points.push_back(b);
    for (int b = 0xA1; b <= 0xAC; ++b) code_points.push_back(b);
    for (int b = 0xAE; b <= 0xFF; ++b) code_points.push_back(b);
    for (int next = 256; code_points.size() < 256;) code_points.push_back(next++);
    const auto utf8 = [](int c) {
      if (c < 0x80) return std::string(1, static_cast<char>(c));
      return std::string{static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    };
    Json vocabulary = Json::object();
    int id = 0;
    for (int c : code_points) vocabulary[utf8(c)] = id++;
    for (int c : code_points) vocabulary[utf8(c) + "</w>"] = id++;
    for (const char* word : {"re", "red</w>", "<|startoftext|>", "<|endoftext|>"}) {
      vocabulary[word] = id++;
    }
    WriteFileAtomically(directory / "vocab.json", DumpJson(vocabulary));
    WriteFileAtomically(directory / "merges.txt",
                        std::string_view("#version: 0.2\nr e\nre d</w>\n"));
  }
};

// Random values of all tensors that a model of this configuration has, by the names of the family
// with this anchor. Attention has peaks, and biases count.
inline std::vector<RandomModel::Held> RandomTensors(const ModelConfig& config,
                                                    std::string_view anchor, std::uint64_t seed) {
  const auto families = TensorFamilies();
  const auto family = std::ranges::find(families, anchor, &TensorFamily::anchor);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<RandomModel::Held> held;
  for (const TensorRow& row : family->rows) {
    if (!Uses(config, row)) continue;
    const bool gain = row.name.ends_with("gain");
    for (Index l = 0; l < LayersOf(row, config); ++l) {
      for (const auto& [name, shape] : TensorsInFile(row, l, config)) {
        if (name.empty()) continue;  // zeros, which no file holds
        RandomModel::Held tensor{
            .name = name, .ours = WithLayer(row.name, l), .shape = shape, .values = {}};
        Index n = 1;
        for (const Index d : shape) n *= d;
        const float scale = shape.size() > 1 && shape[0] > 1
                                ? 1.2f / std::sqrt(static_cast<float>(n / shape[0]))
                                : 0.4f;
        for (Index i = 0; i < n; ++i) {
          tensor.values.push_back((gain ? 1.0f : 0.0f) + scale * normal(random));
        }
        held.push_back(std::move(tensor));
      }
    }
  }
  return held;
}

// A directory of transformers' SiglipModel with random weights: an attention pool with an MLP
// behind it, no class token. Without a tokenizer, so it has no texts.
inline ModelConfig WriteRandomSiglip(const std::filesystem::path& directory,
                                     std::uint64_t seed = 3) {
  const Json config = {{"model_type", "siglip"},
                       {"vision_config",
                        {{"hidden_size", 24},
                         {"intermediate_size", 40},
                         {"num_hidden_layers", 3},
                         {"num_attention_heads", 2},
                         {"image_size", 12},
                         {"patch_size", 4}}},
                       {"text_config",
                        {{"hidden_size", 24},
                         {"intermediate_size", 30},
                         {"num_hidden_layers", 1},
                         {"num_attention_heads", 2},
                         {"max_position_embeddings", 6},
                         {"vocab_size", 11}}}};
  const ModelConfig parsed = ParseHuggingFaceConfig(config, "config.json");
  std::filesystem::create_directories(directory);
  WriteFileAtomically(directory / "config.json", DumpJson(config));
  const Json preprocessing = {{"image_processor_type", "SiglipImageProcessor"},
                              {"size", {{"height", 12}, {"width", 12}}}};
  WriteFileAtomically(directory / "preprocessor_config.json", DumpJson(preprocessing));
  RandomModel::WriteTensors(directory / "model.safetensors",
                            RandomTensors(parsed, "vision_model.head.probe", seed));
  return parsed;
}

// An open_clip directory with one of timm's image towers, made small, with random weights. As it
// stands it is EVA-02: rotary positions, a LayerNorm over the heads' outputs, gated MLPs. Its texts
// come from elsewhere.
inline ModelConfig WriteRandomEva(const std::filesystem::path& directory, std::uint64_t seed = 3,
                                  const std::string& tower = "eva02_base_patch16_clip_224") {
  const Json config = {{"model_cfg",
                        {{"embed_dim", 10},
                         {"custom_text", true},
                         {"vision_cfg",
                          {{"timm_model_name", tower},
                           {"timm_pool", ""},
                           {"image_size", 12},
                           {"timm_model_kwargs",
                            {{"img_size", 12},
                             {"patch_size", 4},
                             {"embed_dim", 24},
                             {"depth", 3},
                             {"num_heads", 3},
                             {"mlp_ratio", 1.5}}}}},
                         {"text_cfg", {{"hf_model_name", "some/text-tower"}}}}}};
  const ModelConfig parsed = ParseOpenClipConfig(config, "open_clip_config.json");
  std::filesystem::create_directories(directory);
  WriteFileAtomically(directory / "open_clip_config.json", DumpJson(config));
  RandomModel::WriteTensors(directory / "open_clip_model.safetensors",
                            RandomTensors(parsed, "visual.trunk.patch_embed.proj.weight", seed));
  return parsed;
}

// The same with timm's ViTamin: convolutions in front, gated MLPs with a LayerNorm of their own,
// no class token, the average of all tokens is pooled. Its width goes with its convolutions.
inline ModelConfig WriteRandomViTamin(const std::filesystem::path& directory,
                                      std::uint64_t seed = 3) {
  const Json config = {
      {"model_cfg",
       {{"embed_dim", 10},
        {"custom_text", true},
        {"vision_cfg",
         {{"timm_model_name", "vitamin_small_224"},
          {"timm_pool", ""},
          {"timm_proj", "linear"},
          {"image_size", 48},
          {"timm_model_kwargs",
           {{"img_size", 48}, {"depth", 3}, {"num_heads", 3}, {"mlp_ratio", 0.05}}}}},
        {"text_cfg", {{"hf_model_name", "some/text-tower"}}}}}};
  const ModelConfig parsed = ParseOpenClipConfig(config, "open_clip_config.json");
  std::filesystem::create_directories(directory);
  WriteFileAtomically(directory / "open_clip_config.json", DumpJson(config));
  RandomModel::WriteTensors(
      directory / "open_clip_model.safetensors",
      RandomTensors(parsed, "visual.trunk.patch_embed.backbone.stem.conv1.weight", seed));
  return parsed;
}

}  // namespace cliplens
