#include "cliplens/model/checkpoint.h"

#include <cstdlib>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include "tests/torch_builder.h"
#include <gtest/gtest.h>

#include "cliplens/model/architectures.h"
#include "cliplens/model/clip.h"
#include "cliplens/model/hub_cache.h"
#include "cliplens/model/tensor_table.h"

namespace cliplens {
namespace {

TEST(Checkpoint, LoadsAndCountsWhatWasWritten) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path() / "model");
  const Checkpoint checkpoint = LoadCheckpoint(directory.path() / "model");
  EXPECT_EQ(checkpoint.name, "model");
  EXPECT_EQ(checkpoint.config.vision.head_width(), 6);
  EXPECT_EQ(checkpoint.config.vision.mlp_width, 30);
  EXPECT_EQ(checkpoint.config.tokens(), 10);
  EXPECT_EQ(checkpoint.tensors.at("vision.projection").shape, (std::vector<Index>{12, 10}));
  EXPECT_EQ(checkpoint.fingerprint.size(), 32u);
}

TEST(Checkpoint, FingerprintTellsWeightsApart) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path() / "a");
  RandomModel{}.Write(directory.path() / "b");
  RandomModel{.seed = 2}.Write(directory.path() / "c");
  EXPECT_EQ(LoadCheckpoint(directory.path() / "a").fingerprint,
            LoadCheckpoint(directory.path() / "b").fingerprint);
  EXPECT_NE(LoadCheckpoint(directory.path() / "a").fingerprint,
            LoadCheckpoint(directory.path() / "c").fingerprint);
}

TEST(Checkpoint, WrongShapeNamesTensorAndBothShapes) {
  const TemporaryDirectory directory;
  RandomModel model;
  model.shapes["visual.transformer.resblocks.1.ln_2.weight"] = {13};
  model.Write(directory.path());
  ExpectError(ErrorCode::kCorruptData,
              "tensor 'visual.transformer.resblocks.1.ln_2.weight' has shape [13], the "
              "configuration asks for [12]",
              [&] { LoadCheckpoint(directory.path()); });
}

TEST(Checkpoint, MissingTensorIsNamed) {
  const TemporaryDirectory directory;
  RandomModel{.without = "visual.proj"}.Write(directory.path());
  ExpectError(ErrorCode::kCorruptData, "tensor 'visual.proj' is missing",
              [&] { LoadCheckpoint(directory.path()); });
}

TEST(Checkpoint, ConfigThatContradictsTheWeightsIsRefused) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  // Fewer layers than the file has.
  const Json config = RandomModel{.layers = 2}.Config();
  WriteFileAtomically(directory.path() / "open_clip_config.json", DumpJson(config));
  ExpectError(ErrorCode::kCorruptData, "has no place in the model",
              [&] { LoadCheckpoint(directory.path()); });
}

TEST(Checkpoint, MissingDirectoryOrFileSaysWhatIsNeeded) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "no such model",
              [&] { LoadCheckpoint(directory.path() / "nothing"); });
  ExpectError(ErrorCode::kNotFound, "there is no open_clip_config.json and no config.json",
              [&] { LoadCheckpoint(directory.path()); });
  directory.Write("open_clip_config.json", "{}");
  ExpectError(ErrorCode::kNotFound,
              "open_clip_config.json is there, but none of open_clip_model.safetensors",
              [&] { LoadCheckpoint(directory.path()); });
}

TEST(Checkpoint, UnsupportedSettingsAreNamed) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const auto with = [&](const char* tower, const char* key, const Json& value) {
    Json config = RandomModel{}.Config();
    config["model_cfg"][tower][key] = value;
    WriteFileAtomically(directory.path() / "open_clip_config.json", DumpJson(config));
  };
  with("vision_cfg", "attentional_pool", true);
  ExpectError(ErrorCode::kUnsupported, "'attentional_pool' is true",
              [&] { LoadCheckpoint(directory.path()); });
  with("vision_cfg", "some_new_setting", 3);
  ExpectError(ErrorCode::kUnsupported, "'some_new_setting' (3) is not supported",
              [&] { LoadCheckpoint(directory.path()); });
  with("vision_cfg", "layers", Json::array({3, 4, 6, 3}));
  ExpectError(ErrorCode::kUnsupported, "ResNet", [&] { LoadCheckpoint(directory.path()); });
  with("vision_cfg", "width", -12);
  ExpectError(ErrorCode::kCorruptData, "'width' is -12", [&] { LoadCheckpoint(directory.path()); });
  with("vision_cfg", "width", std::uint64_t{1} << 63);
  ExpectError(ErrorCode::kCorruptData, "'width' is 9223372036854775808",
              [&] { LoadCheckpoint(directory.path()); });
  with("text_cfg", "hf_model_name", "roberta-base");
  ExpectError(ErrorCode::kUnsupported, "roberta-base", [&] { LoadCheckpoint(directory.path()); });
  // Patch dropout does nothing outside of training.
  with("vision_cfg", "patch_dropout", 0.5);
  LoadCheckpoint(directory.path());
}

using Held = RandomModel::Held;

// A state dictionary as torch.save describes it.
std::string StateDict(const std::vector<Held>& held,
                      std::vector<std::pair<std::string, std::string>>& storages,
                      const std::string& prefix = "") {
  std::vector<std::pair<std::string, std::string>> members;
  for (const Held& h : held) {
    const std::string key = std::to_string(storages.size());
    std::vector<std::int64_t> strides(h.shape.size(), 1);
    for (std::size_t i = h.shape.size(); i > 1; --i) {
      strides[i - 2] = strides[i - 1] * h.shape[i - 1];
    }
    members.emplace_back(
        prefix + h.name,
        pickle::Tensor(pickle::Storage("FloatStorage", key, static_cast<int>(h.values.size())), 0,
                       {h.shape.begin(), h.shape.end()}, strides));
    storages.emplace_back(key, Values<float>(h.values));
  }
  return pickle::Dict(members);
}

std::string TorchFileOf(const std::vector<Held>& held) {
  std::vector<std::pair<std::string, std::string>> storages;
  const std::string program = StateDict(held, storages);
  return TorchArchive(program, storages);
}

// The same weights under Hugging Face's names: queries, keys and values apart, projections turned.
std::vector<Held> HuggingFaceWeights(const RandomModel& model) {
  std::vector<Held> out;
  const std::vector<Held> all = model.Weights();
  for (const TensorRow& row : HuggingFaceFamily().rows) {
    for (const Held& h : all) {
      std::string layer;
      std::string pattern = h.ours;
      if (const std::size_t at = pattern.find("block."); at != std::string::npos) {
        layer = pattern.substr(at + 6, pattern.find('.', at + 6) - at - 6);
        pattern.replace(at + 6, layer.size(), "{}");
      }
      if (pattern != row.name) continue;
      std::string rest = row.in_file;
      const auto parts = ToSize(std::ranges::count(rest, '|')) + 1;
      for (std::size_t p = 0; p < parts; ++p) {
        const std::size_t bar = std::min(rest.find('|'), rest.size());
        Held part;
        part.name = rest.substr(0, bar);
        rest.erase(0, bar + 1);
        if (!layer.empty()) part.name.replace(part.name.find("{}"), 2, layer);
        part.shape = h.shape;
        const std::size_t size = h.values.size() / parts;
        part.values.assign(h.values.begin() + static_cast<std::ptrdiff_t>(p * size),
                           h.values.begin() + static_cast<std::ptrdiff_t>((p + 1) * size));
        if (parts > 1) part.shape[0] /= static_cast<Index>(parts);
        if (row.transposed) {
          std::ranges::reverse(part.shape);
          const auto columns = ToSize(part.shape[1]);
          for (std::size_t i = 0; i < size; ++i) {
            part.values[i] = h.values[i % columns * (size / columns) + i / columns];
          }
        }
        out.push_back(std::move(part));
      }
    }
  }
  return out;
}

Json HuggingFaceConfig(const RandomModel& model) {
  const Index mlp = static_cast<Index>(static_cast<double>(model.width) * model.mlp_ratio);
  const char* act = model.quick_gelu ? "quick_gelu" : "gelu";
  return {{"model_type", "clip"},
          {"projection_dim", model.embed_width},
          {"torch_dtype", "float32"},
          {"vision_config",
           {{"hidden_size", model.width},
            {"intermediate_size", mlp},
            {"num_hidden_layers", model.layers},
            {"num_attention_heads", model.heads},
            {"image_size", model.side},
            {"patch_size", model.patch},
            {"hidden_act", act},
            {"top_k", 50}}},
          {"text_config",
           {{"hidden_size", model.text_width},
            {"intermediate_size",
             static_cast<Index>(static_cast<double>(model.text_width) * model.text_mlp_ratio)},
            {"num_hidden_layers", 2},
            {"num_attention_heads", model.text_heads},
            {"max_position_embeddings", 9},
            {"vocab_size", 520},
            {"hidden_act", act},
            {"eos_token_id", 2}}}};
}

class LayoutTest : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) const { return directory_.path() / name; }
  void Write(const std::string& name, const std::string& bytes) const {
    directory_.Write(name, bytes);
  }
  // What the open_clip directory of the model gives.
  Checkpoint Reference(const RandomModel& model) const {
    model.Write(path("reference"));
    return LoadCheckpoint(path("reference"));
  }
  static void Same(const Checkpoint& got, const Checkpoint& wanted) {
    EXPECT_EQ(got.fingerprint, wanted.fingerprint);
    ASSERT_EQ(got.tensors.size(), wanted.tensors.size());
    for (const auto& [name, tensor] : wanted.tensors) {
      EXPECT_EQ(got.tensors.at(name).values, tensor.values) << name;
    }
  }

  TemporaryDirectory directory_;
};

TEST_F(LayoutTest, OpenClipDirectoriesWithPyTorchFilesAndShards) {
  const RandomModel model;
  const Checkpoint wanted = Reference(model);
  EXPECT_EQ(wanted.layout, "open_clip directory, safetensors");
  EXPECT_EQ(wanted.files.size(), 2u);
  // Bare configuration, weights as a pickle.
  Write("bin/open_clip_config.json", DumpJson(model.Config()["model_cfg"]));
  Write("bin/open_clip_pytorch_model.bin", TorchFileOf(model.Weights()));
  const Checkpoint bin = LoadCheckpoint(path("bin"));
  Same(bin, wanted);
  EXPECT_EQ(bin.layout, "open_clip directory, PyTorch file");

  Write("shards/open_clip_config.json", DumpJson(model.Config()));
  std::vector<Held> all = model.Weights();
  Json map = Json::object();
  for (std::size_t i = 0; i < all.size(); ++i) {
    map[all[i].name] = i < all.size() / 2 ? "a.safetensors" : "b.safetensors";
  }
  const auto half = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  RandomModel::WriteTensors(path("shards/a.safetensors"), {all.begin(), half});
  RandomModel::WriteTensors(path("shards/b.safetensors"), {half, all.end()});
  Write("shards/open_clip_model.safetensors.index.json", DumpJson({{"weight_map", map}}));
  Same(LoadCheckpoint(path("shards")), wanted);
}

TEST_F(LayoutTest, HuggingFaceDirectories) {
  for (const bool quick : {false, true}) {
    const RandomModel model{.quick_gelu = quick};
    const Checkpoint wanted = Reference(model);
    std::filesystem::create_directories(path("hf"));
    Write("hf/config.json", DumpJson(HuggingFaceConfig(model)));
    std::vector<Held> weights = HuggingFaceWeights(model);
    weights.push_back({"text_model.embeddings.position_ids", "", {1, 9}, std::vector<float>(9)});
    RandomModel::WriteTensors(path("hf/model.safetensors"), weights);
    const Checkpoint got = LoadCheckpoint(path("hf"));
    Same(got, wanted);
    EXPECT_EQ(got.layout, "Hugging Face directory, safetensors");
    EXPECT_EQ(got.config.tokenizer_rule, TokenizerRule::kHuggingFace);
    EXPECT_EQ(got.config.preprocess.image_size, 21);
    Write("bin/config.json", DumpJson(HuggingFaceConfig(model)));
    Write("bin/pytorch_model.bin", TorchFileOf(weights));
    Same(LoadCheckpoint(path("bin")), wanted);
    std::filesystem::remove_all(path("reference"));
  }
}

TEST(HuggingFaceConfigTest, AbsentSettingsHaveTheDefaultsOfTransformers) {
  const ModelConfig config = ParseHuggingFaceConfig({{"model_type", "clip"}}, "config.json");
  EXPECT_EQ(config.activation, Activation::kQuickGelu);
  EXPECT_EQ(config.patch_size, 32);
  EXPECT_EQ(config.vision.mlp_width, 3072);
  EXPECT_EQ(config.text.width, 512);
  EXPECT_EQ(config.text.heads, 8);
  EXPECT_EQ(config.eos_token_id, 49'407);
  // An older file's text_config_dict replaces the other.
  const Json older = {{"model_type", "clip"},
                      {"text_config", {{"num_hidden_layers", 5}, {"hidden_size", 64}}},
                      {"text_config_dict", {{"hidden_size", 768}}},
                      {"vision_config_dict", nullptr}};
  EXPECT_EQ(ParseHuggingFaceConfig(older, "config.json").text.width, 768);
  EXPECT_EQ(ParseHuggingFaceConfig(older, "config.json").text.layers, 12);
}

TEST(HuggingFaceConfigTest, OtherModelsAreRefusedByName) {
  const auto refused = [](const Json& json, const char* words) {
    ExpectError(ErrorCode::kUnsupported, words,
                [&] { ParseHuggingFaceConfig(json, "config.json"); });
  };
  refused({{"model_type", "siglip"}}, "'model_type' is 'siglip'");
  refused(Json::object(), "'model_type' is ''");
  refused({{"model_type", "clip"}, {"vision_config", {{"hidden_act", "gelu_new"}}}}, "gelu_new");
  refused({{"model_type", "clip"}, {"vision_config", {{"hidden_act", "gelu"}}}},
          "gelu in the image tower and quick_gelu in the text tower");
  refused({{"model_type", "clip"}, {"vision_config", {{"num_channels", 4}}}}, "num_channels");
}

TEST_F(LayoutTest, TrainingCheckpointsAndBareStateDictionaries) {
  const RandomModel model;
  const Checkpoint wanted = Reference(model);
  const std::string arch = path("reference/open_clip_config.json").string();
  std::vector<std::pair<std::string, std::string>> storages;
  const std::string state = StateDict(model.Weights(), storages, "module.");
  std::vector<Held> moments = model.Weights();
  const std::string averages = StateDict(moments, storages);
  Write("epoch_3.pt", TorchArchive(pickle::Dict({{"epoch", "K\3"},
                                                 {"name", pickle::Text("run")},
                                                 {"state_dict", state},
                                                 {"optimizer", pickle::Dict({{"state", averages}})},
                                                 {"scaler", "N"}}),
                                   storages));
  ExpectError(ErrorCode::kInvalidArgument, "holds 2 models", [&] {
    std::vector<std::pair<std::string, std::string>> two;
    const std::string a = StateDict(moments, two);
    const std::string b = StateDict(moments, two);
    Write("two.pt", TorchArchive(pickle::Dict({{"a", a}, {"b", b}}), two));
    LoadCheckpoint(path("two.pt"), arch);
  });
  const Checkpoint epoch = LoadCheckpoint(path("epoch_3.pt"), arch);
  Same(epoch, wanted);
  EXPECT_EQ(epoch.name, "epoch_3.pt");
  EXPECT_EQ(epoch.vocabulary, path("reference"));
  Write("bare.pt", TorchFileOf(model.Weights()));
  Same(LoadCheckpoint(path("bare.pt"), arch), wanted);
  Same(LoadCheckpoint(path("reference/open_clip_model.safetensors"), arch), wanted);

  ExpectError(ErrorCode::kInvalidArgument, "name the architecture with --arch",
              [&] { LoadCheckpoint(path("bare.pt")); });
  ExpectError(ErrorCode::kCorruptData, "the configuration asks for",
              [&] { LoadCheckpoint(path("bare.pt"), "ViT-B-16"); });
  ExpectError(ErrorCode::kInvalidArgument, "has a configuration of its own",
              [&] { LoadCheckpoint(path("reference"), "ViT-B-16"); });
}

// OpenAI's heads are 64 wide and its MLPs four times the width.
RandomModel OpenAiModel() {
  return {.width = 128,
          .heads = 2,
          .mlp_ratio = 4,
          .quick_gelu = true,
          .text_width = 64,
          .text_heads = 1,
          .text_mlp_ratio = 4};
}

TEST_F(LayoutTest, OpenAiWeights) {
  const RandomModel model = OpenAiModel();
  const Checkpoint wanted = Reference(model);
  std::vector<Held> weights = model.Weights();
  weights.push_back({"input_resolution", "", {}, {21}});
  weights.push_back({"context_length", "", {}, {9}});
  weights.push_back({"vocab_size", "", {}, {520}});
  weights.push_back({"transformer.resblocks.0.attn_mask", "", {1, 1}, {0}});
  Write("ViT.pt", TorchFileOf(weights));
  const Checkpoint got = LoadCheckpoint(path("ViT.pt"));
  Same(got, wanted);
  EXPECT_EQ(got.config.activation, Activation::kQuickGelu);
  EXPECT_EQ(got.layout, "OpenAI's weights, PyTorch file");
  EXPECT_TRUE(got.vocabulary.empty());
  // Without the three numbers the file says nothing of its maker.
  Write("plain.pt", TorchFileOf(model.Weights()));
  ExpectError(ErrorCode::kInvalidArgument, "none of the known ones has its sizes",
              [&] { LoadCheckpoint(path("plain.pt")); });
  Same(LoadCheckpoint(path("plain.pt"), "openai"), wanted);
  weights[weights.size() - 4].values = {28};
  Write("wrong.pt", TorchFileOf(weights));
  ExpectError(ErrorCode::kCorruptData, "'input_resolution' is 28, the tensors' shapes say 21",
              [&] { LoadCheckpoint(path("wrong.pt")); });
}

TEST_F(LayoutTest, LayerScaleIsFoldedIntoTheMatrices) {
  const RandomModel model{.layer_scale = true};
  const Checkpoint got = Reference(model);
  const auto find = [&](const std::string& ours) {
    for (const Held& h : model.Weights()) {
      if (h.ours == ours) return h.values;
    }
    return std::vector<float>{};
  };
  const std::vector<float> gain = find("vision.block.1.mlp.scale");
  const std::vector<float> weight = find("vision.block.1.mlp.out.weight");
  const std::vector<float> bias = find("vision.block.1.mlp.out.bias");
  ASSERT_EQ(gain.size(), 12u);
  EXPECT_FALSE(got.tensors.contains("vision.block.1.mlp.scale"));
  const std::size_t inputs = weight.size() / gain.size();
  for (std::size_t i = 0; i < weight.size(); ++i) {
    EXPECT_EQ(got.tensors.at("vision.block.1.mlp.out.weight").values[i],
              static_cast<float>(double{gain[i / inputs]} * double{weight[i]}));
  }
  for (std::size_t i = 0; i < bias.size(); ++i) {
    EXPECT_EQ(got.tensors.at("vision.block.1.mlp.out.bias").values[i],
              static_cast<float>(double{gain[i]} * double{bias[i]}));
  }
}

TEST_F(LayoutTest, WithoutTheFirstLayerNorm) {
  const Checkpoint got = Reference({.ln_pre = false});
  EXPECT_FALSE(got.config.ln_pre);
  EXPECT_FALSE(got.tensors.contains("vision.ln_pre.gain"));
}

TEST_F(LayoutTest, ModelsThatAreNotEvaluatedAreRefusedWithTheReason) {
  const RandomModel model;
  const auto refused = [&](const char* tensor, const char* words, bool alone) {
    std::vector<Held> weights;
    if (!alone) weights = model.Weights();
    weights.push_back({tensor, "", {1}, {0}});
    Write("x.pt", TorchFileOf(weights));
    ExpectError(ErrorCode::kUnsupported, words, [&] { LoadCheckpoint(path("x.pt"), "ViT-B-16"); });
  };
  refused("visual.layer1.0.conv1.weight", "its image tower is a ResNet", true);
  refused("visual.attnpool.q_proj.weight", "pools by attention", true);
  refused("visual.trunk.blocks.0.norm1.weight", "timm", true);
  refused("vision_model.head.probe", "SigLIP", true);
  refused("visual.attn_pool.query", "pools by attention", false);
  refused("text_decoder.text_projection", "CoCa", false);
  refused("text.transformer.resblocks.0.ln_1.weight", "custom_text", false);
  refused("something.else", "no CLIP model", true);
}

TEST(Architectures, ByName) {
  EXPECT_EQ(FindArchitecture("ViT-B/16").vision.heads, 12);
  EXPECT_EQ(FindArchitecture("ViT-bigG-14").vision.mlp_width, 8192);
  EXPECT_EQ(FindArchitecture("ViT-L-14-quickgelu").activation, Activation::kQuickGelu);
  EXPECT_TRUE(FindArchitecture("ViT-M-16-alt").vision.layer_scale);
  ExpectError(ErrorCode::kUnsupported, "ResNet", [] { FindArchitecture("RN50"); });
  ExpectError(ErrorCode::kUnsupported, "CoCa", [] { FindArchitecture("coca_ViT-B-32"); });
  ExpectError(ErrorCode::kUnsupported, "SigLIP", [] { FindArchitecture("ViT-B-16-SigLIP"); });
  ExpectError(ErrorCode::kNotFound, "known are openai, ViT-B-16",
              [] { FindArchitecture("ViT-Z"); });
}

TEST_F(LayoutTest, ModelsInTheHubCache) {
  ASSERT_EQ(::setenv("HF_HUB_CACHE", path("hub").c_str(), 1), 0);
  const std::string commit(40, 'a');
  const std::string repository = "hub/models--org--some-Model.v1/";
  RandomModel{}.Write(path(repository + "snapshots/" + commit));
  const auto find = [](const char* name) { return FindInHubCache(name); };
  // One snapshot and no branch.
  EXPECT_EQ(find("hf:org/some-Model.v1").filename(), commit);
  Write(repository + "refs/main", commit);
  const Checkpoint got = LoadCheckpoint(find("hf:org/some-Model.v1"));
  EXPECT_EQ(got.name, "org/some-Model.v1");
  ExpectError(ErrorCode::kNotFound, "snapshot_download(\"org/other\")",
              [&] { find("hf:org/other"); });
  for (const char* name : {"hf:", "hf:org", "hf:org/", "hf:../x", "hf:org/..", "hf:org/a/b",
                           "hf:/etc/passwd", "hf:org/a--b", "hf:org/a b"}) {
    ExpectError(ErrorCode::kInvalidArgument, "hf:ORG/NAME", [&] { find(name); });
  }
  Write(repository + "refs/main", "../../../etc");
  ExpectError(ErrorCode::kCorruptData, "no commit", [&] { find("hf:org/some-Model.v1"); });
  Write(repository + "refs/main", std::string(40, 'b'));
  ExpectError(ErrorCode::kNotFound, "no snapshot", [&] { find("hf:org/some-Model.v1"); });
  ::unsetenv("HF_HUB_CACHE");
}

TEST(ClipModel, TextsAreCutOnlyWhenAsked) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const ClipModel model = ClipModel::Load(directory.path());
  const std::vector<std::string> texts = {"red", "a text of more than nine tokens"};
  ExpectError(ErrorCode::kInvalidArgument,
              "text 2 ('a text of more than nine tokens') has more tokens than the context of 9",
              [&] { model.EmbedTexts(texts, false, 1); });
  const Array<float, 2> rows = model.EmbedTexts(texts, true, 1);
  EXPECT_EQ(rows.dim(0), 2);
}

TEST(ClipModel, RefusesPixelsOfAnotherSize) {
  const TemporaryDirectory directory;
  RandomModel{}.Write(directory.path());
  const ClipModel model = ClipModel::Load(directory.path());
  Workspace workspace;
  Array<float, 2> embedding({1, 10});
  const std::vector<Array<float, 3>> pixels(1, Array<float, 3>({3, 20, 21}));
  ExpectError(ErrorCode::kInvalidArgument, "pixels [3, 20, 21]",
              [&] { model.EmbedImages(pixels, embedding, workspace); });
}

}  // namespace
}  // namespace cliplens
