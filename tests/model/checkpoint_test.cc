#include "cliplens/model/checkpoint.h"

#include <cmath>
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

TEST(Checkpoint, PicturesAloneHaveTheSameFingerprintAndNoTextTower) {
  for (const bool layer_scale : {false, true}) {
    const TemporaryDirectory directory;
    const RandomModel shape{.layer_scale = layer_scale};
    shape.Write(directory.path());
    const Checkpoint whole = LoadCheckpoint(directory.path());
    const Checkpoint pictures = LoadCheckpoint(directory.path(), "", "", {}, /*with_text=*/false);
    EXPECT_EQ(pictures.fingerprint, whole.fingerprint);
    for (const auto& [name, tensor] : whole.tensors) {
      EXPECT_EQ(pictures.tensors.contains(name), !name.starts_with("text.")) << name;
    }
    const ClipModel model = ClipModel::Load(directory.path(), Precision::kF32, "", "", {}, false);
    ExpectError(ErrorCode::kPrecondition, "loaded for pictures alone", [&] { model.text_tower(); });
    // What is left out is checked all the same.
    const std::string lost = "transformer.resblocks.1.mlp.c_fc.weight";
    RandomModel{.layer_scale = layer_scale, .without = lost}.Write(directory.path());
    ExpectError(ErrorCode::kCorruptData, lost + "' is missing",
                [&] { LoadCheckpoint(directory.path(), "", "", {}, false); });
  }
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
  with("vision_cfg", "attentional_pool", "parallel");
  ExpectError(ErrorCode::kUnsupported, "'attentional_pool' is \"parallel\"",
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
  with("text_cfg", "pool_type", "eos");  // CLIP's own tokenizer pools the highest id
  ExpectError(ErrorCode::kUnsupported, "'pool_type'", [&] { LoadCheckpoint(directory.path()); });
  // Patch dropout does nothing outside of training.
  with("vision_cfg", "patch_dropout", 0.5);
  LoadCheckpoint(directory.path());
}

TEST(OpenClipConfigTest, WorldwideModels) {
  Json config = RandomModel{}.Config();
  Json& text = config["model_cfg"]["text_cfg"];
  text["pool_type"] = "eos";
  text["eos_id"] = 7;
  text["hf_tokenizer_name"] = "google/mt5-base";
  text["tokenizer_kwargs"] = {{"clean", "canonicalize"}};
  const ModelConfig read = ParseOpenClipConfig(config, "test");
  ASSERT_TRUE(read.text_rule);
  EXPECT_EQ(read.text_rule->end, 7);
  EXPECT_EQ(read.text_rule->cleaning, TextCleaning::kCanonicalize);
  EXPECT_EQ(read.text_rule->context_length, read.context_length);
  EXPECT_FALSE(read.text_rule->fills_context);
  const auto refused = [&](const Json& kwargs, const char* words) {
    text["tokenizer_kwargs"] = kwargs;
    ExpectError(ErrorCode::kUnsupported, words, [&] { ParseOpenClipConfig(config, "test"); });
  };
  refused({{"clean", "upper"}}, "'clean' is 'upper'");
  refused({{"some_setting", 1}}, "some_setting");
}

TEST(OpenClipConfigTest, OtherModelsAreCalledByTheirNames) {
  const auto refused = [&](const Json& changes, const char* words) {
    Json config = RandomModel{}.Config();
    config["model_cfg"]["custom_text"] = true;
    config["model_cfg"].merge_patch(changes);
    ExpectError(ErrorCode::kUnsupported, words,
                [&] { ParseOpenClipConfig(config, "config.json"); });
  };
  const auto tower = [](const char* name) {
    return Json{{"vision_cfg", {{"timm_model_name", name}}}};
  };
  refused(tower("eva02_huge_patch14_clip_224"), "EVA's image tower");
  refused(tower("fastvit_mci2"), "MobileCLIP's image tower");
  refused(tower("vitamin_huge_224"), "ViTamin's image tower");
  refused(tower("resnet50"), "its image tower is 'resnet50', of timm");
  refused({{"audio_cfg", {{"width", 8}}}, {"vision_cfg", nullptr}}, "it is a CLAP model");
}

TEST(OpenClipConfigTest, TowersOfTimmHaveTheSizesOfTheirNames) {
  const auto of = [](const char* tower, const Json& changes) {
    Json config = RandomModel{}.Config();
    config["model_cfg"]["embed_dim"] = 768;
    config["model_cfg"]["vision_cfg"] = {{"timm_model_name", tower}};
    config["model_cfg"]["vision_cfg"].update(changes);
    return ParseOpenClipConfig(config, "config.json");
  };
  const ModelConfig siglip = of("vit_base_patch16_siglip_256",
                                {{"timm_pool", "map"}, {"timm_proj", "none"}, {"image_size", 256}});
  EXPECT_EQ(siglip.pool.kind, Pooling::kAttention);
  EXPECT_EQ(siglip.pool.heads, 12);
  EXPECT_EQ(siglip.tokens(), 256);  // no class token
  EXPECT_TRUE(siglip.patch_bias);
  EXPECT_FALSE(siglip.projection);
  EXPECT_EQ(siglip.vision.norm_epsilon, 1e-6);
  const ModelConfig mobile = of("vit_base_mci_224", {{"timm_pool", "token"}});
  EXPECT_EQ(mobile.stem.kind, StemKind::kConvolutions);
  EXPECT_EQ(mobile.tokens(), 197);
  EXPECT_EQ(mobile.placed().tokens(), 196);  // the class token has no position
  const ModelConfig vitamin =
      of("vitamin_large_336", {{"timm_pool", ""}, {"timm_proj", "linear"}, {"image_size", 336}});
  EXPECT_EQ(vitamin.stem.kind, StemKind::kMbConv);
  EXPECT_EQ(vitamin.vision.gated_mlp, GatedMlp::kGeGlu);
  EXPECT_EQ(vitamin.pool.kind, Pooling::kAverage);
  EXPECT_EQ(vitamin.tokens(), 441);
  // Without positions pictures may be smaller, as ViTamin-XL-384's are.
  const Json of_256 = {{"timm_pool", ""}, {"timm_proj", "linear"}, {"image_size", 256}};
  EXPECT_EQ(of("vitamin_xlarge_384", of_256).tokens(), 256);
  EXPECT_EQ(of("vitamin_xlarge_384", of_256).placed().tokens(), 0);
  ExpectError(ErrorCode::kCorruptData, "'image_size' is 256",
              [&] { of("vitamin_large_336", of_256); });
  Json odd = of_256;
  odd["image_size"] = 250;
  ExpectError(ErrorCode::kCorruptData, "pictures of 250", [&] { of("vitamin_xlarge_384", odd); });
  const ModelConfig row = of("vit_base_patch16_224", {{"timm_pool", "token"}});
  EXPECT_EQ(row.pool.kind, Pooling::kToken);
  EXPECT_EQ(row.tokens(), 197);
  EXPECT_TRUE(row.projection_in_trunk && row.projection_bias);
  const auto refused = [&](ErrorCode code, const char* words, const Json& changes) {
    ExpectError(code, words, [&] { of("vit_base_patch16_siglip_256", changes); });
  };
  refused(ErrorCode::kUnsupported, "'timm_pool' is 'avg'", Json::object());
  refused(ErrorCode::kUnsupported, "'timm_proj' is \"mlp\"",
          {{"timm_pool", "map"}, {"timm_proj", "mlp"}});
  refused(ErrorCode::kCorruptData, "'image_size' is 224, pictures of",
          {{"timm_pool", "map"}, {"image_size", 224}});
}

TEST(OpenClipConfigTest, WaysToPool) {
  const auto with = [](const Json& changes) {
    Json config = RandomModel{}.Config();
    config["model_cfg"].merge_patch(changes);
    return ParseOpenClipConfig(config, "config.json");
  };
  EXPECT_EQ(with({{"vision_cfg", {{"pool_type", "avg"}, {"final_ln_after_pool", true}}}}).pool.kind,
            Pooling::kAverage);
  const auto coca = [&](const Json& changes) {
    Json vision = {{"attentional_pool", true}, {"attn_pooler_heads", 4}};
    vision.update(changes);
    return with({{"embed_dim", 8}, {"vision_cfg", vision}}).pool;
  };
  EXPECT_TRUE(coca(Json::object()).coca);
  EXPECT_EQ(coca(Json::object()).kind, Pooling::kAttention);
  ExpectError(ErrorCode::kCorruptData, "the pool's width 8 cannot be shared by 3 heads", [&] {
    coca({{"attn_pooler_heads", 3}});
  });
  ExpectError(ErrorCode::kUnsupported, "'pool_type' is \"avg\"", [&] {
    coca({{"pool_type", "avg"}, {"final_ln_after_pool", true}});
  });
  ExpectError(ErrorCode::kUnsupported, "'no_causal_mask' is true", [&] {
    with({{"text_cfg", {{"embed_cls", true}, {"no_causal_mask", true}}}});
  });
  ExpectError(ErrorCode::kUnsupported, "'proj_type' is \"mlp\"", [&] {
    with({{"text_cfg", {{"proj_type", "mlp"}}}});
  });
  ExpectError(ErrorCode::kCorruptData, "'proj_type' is 'none'", [&] {
    with({{"embed_dim", 12}, {"text_cfg", {{"proj_type", "none"}}}});
  });
  // Of one row the LayerNorm may come first or last.
  EXPECT_EQ(with({{"vision_cfg", {{"final_ln_after_pool", true}}}}).pool.kind, Pooling::kToken);
  ExpectError(ErrorCode::kUnsupported, "'pool_type' is \"avg\"", [&] {
    with({{"vision_cfg", {{"pool_type", "avg"}}}});
  });
  const ModelConfig last = with({{"text_cfg",
                                  {{"pool_type", "last"},
                                   {"hf_tokenizer_name", "somebody/tokenizer"},
                                   {"no_causal_mask", true},
                                   {"proj_bias", true}}}});
  EXPECT_TRUE(last.reads_padding && last.text_projection_bias && !last.causal);
  EXPECT_TRUE(last.text_rule->fills_context);
  ExpectError(ErrorCode::kUnsupported, "'pool_type' is \"last\"", [&] {
    with({{"text_cfg", {{"pool_type", "last"}}}});
  });
}

TEST(OpenClipConfigTest, SettingsThatChangeNothing) {
  const auto with = [](const Json& changes) {
    Json config = RandomModel{}.Config();
    config.merge_patch(changes);
    return ParseOpenClipConfig(config, "config.json");
  };
  const auto in_towers = [](const Json& settings) {
    return Json{{"model_cfg", {{"vision_cfg", settings}, {"text_cfg", settings}}}};
  };
  with(in_towers({{"act_kwargs", Json::object()}}));
  with(in_towers({{"act_kwargs", {{"approximate", "none"}}}}));
  with({{"model_cfg", {{"text_cfg", {{"tokenizer_kwargs", Json::object()}}}}}});
  const ModelConfig tanh = with(in_towers({{"act_kwargs", {{"approximate", "tanh"}}}}));
  EXPECT_EQ(tanh.vision.activation, Activation::kGeluTanh);
  EXPECT_EQ(tanh.text.activation, Activation::kGeluTanh);
  ExpectError(ErrorCode::kUnsupported, "'act_kwargs' is {\"approximate\":\"sinh\"}", [&] {
    with(in_towers({{"act_kwargs", {{"approximate", "sinh"}}}}));
  });
  // As open_clip's image_transform takes them.
  const auto preprocess = [&](const Json& settings) {
    return with({{"preprocess_cfg", settings}}).preprocess;
  };
  const PreprocessConfig usual;
  EXPECT_EQ(preprocess({{"mean", 0.5}}).mean, (std::array<float, 3>{0.5F, 0.5F, 0.5F}));
  EXPECT_EQ(preprocess({{"mean", {0.25}}}).mean, (std::array<float, 3>{0.25F, 0.25F, 0.25F}));
  EXPECT_EQ(preprocess({{"mean", 0}}).mean, usual.mean);
  EXPECT_EQ(preprocess({{"mean", {0, 0, 0}}}).mean, (std::array<float, 3>{0, 0, 0}));
  EXPECT_EQ(preprocess({{"std", Json::array()}}).std, usual.std);
  EXPECT_EQ(preprocess({{"std", 2}}).std, (std::array<float, 3>{2, 2, 2}));
  EXPECT_EQ(preprocess({{"fill_color", {1, 2, 255}}}).fill_color,
            (std::array<std::uint8_t, 3>{1, 2, 255}));
  EXPECT_EQ(preprocess({{"fill_color", {7}}}).fill_color, (std::array<std::uint8_t, 3>{7, 7, 7}));
  EXPECT_EQ(preprocess({{"fill_color", 7.9}}).fill_color, (std::array<std::uint8_t, 3>{7, 7, 7}));
  for (const Json& bad : {Json({1, 2}), Json("red"), Json({1, 2, 256}), Json(-1)}) {
    ExpectError(ErrorCode::kCorruptData, "'fill_color' is", [&] {
      preprocess({{"fill_color", bad}});
    });
  }
  for (const Json& bad : {Json({1, 2}), Json("red"), Json({1, 2, 1e300})}) {
    ExpectError(ErrorCode::kCorruptData, "'mean' is", [&] { preprocess({{"mean", bad}}); });
  }
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
  const ModelConfig config = ParseOpenClipConfig(model.Config(), "test");
  for (const TensorRow& row : HuggingFaceFamily().rows) {
    if (!Uses(config, row)) continue;
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
  EXPECT_EQ(config.vision.activation, Activation::kQuickGelu);
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
  refused({{"model_type", "siglip2"}}, "variable resolution");
  refused({{"model_type", "blip"}}, "'model_type' is 'blip'");
  refused({{"model_type", "siglip"}, {"vision_config", {{"vision_use_head", false}}}},
          "vision_use_head");
  refused({{"model_type", "clip"}, {"architectures", {"CLIPForImageClassification"}}},
          "an image tower with a classifier and no text tower");
  refused({{"model_type", "clip"}, {"architectures", {"CLIPTextModel"}}}, "a text tower alone");
  refused(Json::object(), "'model_type' is ''");
  refused({{"model_type", "clip"}, {"vision_config", {{"hidden_act", "gelu_new"}}}}, "gelu_new");
  refused({{"model_type", "clip"}, {"vision_config", {{"num_channels", 4}}}}, "num_channels");
  ExpectError(ErrorCode::kCorruptData, "epsilon is -1", [] {
    ParseHuggingFaceConfig({{"model_type", "clip"}, {"text_config", {{"layer_norm_eps", -1}}}},
                           "config.json");
  });
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

// Weights and their moving average: nothing in the file says which of the two is meant.
TEST_F(LayoutTest, OfSeveralModelsTheOneThatIsNamed) {
  const RandomModel model;
  const RandomModel average{.seed = 2};
  const Checkpoint wanted = Reference(model);
  average.Write(path("average"));
  const std::string arch = path("reference/open_clip_config.json").string();
  std::vector<std::pair<std::string, std::string>> storages;
  const std::string state = StateDict(model.Weights(), storages);
  const std::string ema = StateDict(average.Weights(), storages, "module.");
  Write("two.pt",
        TorchArchive(pickle::Dict({{"state_dict", state}, {"model_ema", ema}}), storages));
  ExpectError(ErrorCode::kInvalidArgument,
              "holds 2 models; say which is meant: --weights model_ema.module or --weights "
              "state_dict",
              [&] { LoadCheckpoint(path("two.pt"), arch); });
  ExpectError(ErrorCode::kInvalidArgument, "has no weights under 'teacher'; there is",
              [&] { LoadCheckpoint(path("two.pt"), arch, "teacher"); });
  Same(LoadCheckpoint(path("two.pt"), arch, "state_dict"), wanted);
  for (const char* name : {"model_ema", "model_ema.module"}) {
    const Checkpoint got = LoadCheckpoint(path("two.pt"), arch, name);
    Same(got, LoadCheckpoint(path("average")));
    EXPECT_EQ(got.weights, name);
  }
  // One of the two without a prefix, and in a directory.
  std::vector<Held> both = model.Weights();
  for (Held held : average.Weights()) {
    held.name = "ema." + held.name;
    both.push_back(std::move(held));
  }
  RandomModel::WriteTensors(path("reference/open_clip_model.safetensors"), both);
  ExpectError(ErrorCode::kInvalidArgument, "--weights ema or --weights .",
              [&] { LoadCheckpoint(path("reference")); });
  Same(LoadCheckpoint(path("reference"), "", "ema"), LoadCheckpoint(path("average")));
  ExpectError(ErrorCode::kCorruptData, "'ema.",
              [&] { LoadCheckpoint(path("reference"), "", "."); });
}

// Of a model that was compiled, sharded or checkpointed, whole or block by block.
TEST_F(LayoutTest, PartsOfNamesThatTrainingToolsAdd) {
  const RandomModel model;
  const Checkpoint wanted = Reference(model);
  const std::string arch = path("reference/open_clip_config.json").string();
  for (const char* part : {"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."}) {
    for (const char* behind : {"", "transformer.", "resblocks.1.", "mlp.", "visual."}) {
      std::vector<Held> weights = model.Weights();
      for (Held& held : weights) {
        const std::size_t at = held.name.find(behind);
        if (at != std::string::npos) held.name.insert(at + std::string_view(behind).size(), part);
        held.name = "module." + held.name;
      }
      Write("wrapped.pt", TorchFileOf(weights));
      Same(LoadCheckpoint(path("wrapped.pt"), arch), wanted);
    }
  }
  std::vector<Held> twice = model.Weights();
  twice.push_back(twice.front());
  twice.back().name = "_orig_mod." + twice.back().name;
  Write("twice.pt", TorchFileOf(twice));
  ExpectError(ErrorCode::kCorruptData, "are one and the same without what torch.compile",
              [&] { LoadCheckpoint(path("twice.pt"), arch); });
}

TEST_F(LayoutTest, NumbersThatAreNotFiniteAreRefusedByTheTensorsName) {
  const RandomModel model{.layer_scale = true};
  const auto refused = [&](const char* name, float value, const char* words) {
    std::vector<Held> weights = model.Weights();
    for (Held& held : weights) {
      if (held.name == name) held.values.back() = value;
    }
    model.Write(path("model"));
    RandomModel::WriteTensors(path("model/open_clip_model.safetensors"), weights);
    ExpectError(ErrorCode::kCorruptData, words, [&] { LoadCheckpoint(path("model")); });
  };
  refused("ln_final.bias", NAN, "tensor 'ln_final.bias' holds a value that is not finite");
  refused("visual.proj", INFINITY, "tensor 'visual.proj' holds a value that is not finite");
  // Finite as it stands, and not in what it is for.
  refused("logit_scale", 3e38F, "tensor 'logit_scale' is 3e+38, and scores are multiplied by");
  refused("logit_scale", 89, "tensor 'logit_scale' is 89");
  refused("logit_scale", -200, "tensor 'logit_scale' is -200");
  std::vector<Held> weights = model.Weights();
  for (Held& held : weights) {
    if (held.name.ends_with("resblocks.1.ls_2.gamma")) held.values.back() = 3e38F;
    if (held.name.ends_with("resblocks.1.mlp.c_proj.bias")) held.values.back() = 3e38F;
  }
  RandomModel::WriteTensors(path("model/open_clip_model.safetensors"), weights);
  ExpectError(ErrorCode::kCorruptData, "block.1.mlp.out times its gains (LayerScale)",
              [&] { LoadCheckpoint(path("model")); });
}

// A LoRA adapter as peft saves it.
class AdapterTest : public LayoutTest {
 protected:
  // An adapter of two matrices, an embedding and a convolution beside the model's weights.
  void WriteAdapter(const Json& more = Json::object()) {
    Json config = {{"peft_type", "LORA"},
                   {"base_model_name_or_path", "org/base"},
                   {"r", 2},
                   {"lora_alpha", 6},
                   {"use_rslora", false},
                   {"use_dora", false},
                   {"alpha_pattern", Json::object()},
                   {"layer_replication", nullptr},
                   {"target_modules", {"c_fc", "c_proj"}}};
    config.update(more);
    Write("reference/adapter_config.json", DumpJson(config));
    RandomModel::WriteTensors(path("reference/adapter_model.safetensors"), adapter_);
  }
  void Add(const std::string& name, std::vector<Index> shape) {
    Held held{"base_model.model." + name, "", std::move(shape), {}};
    Index size = 1;
    for (const Index n : held.shape) size *= n;
    for (Index i = 0; i < size; ++i) {
      held.values.push_back(static_cast<float>((i * 7 + size) % 11) / 16.0F - 0.3F);
    }
    adapter_.push_back(std::move(held));
  }
  const std::vector<float>& AdapterValues(const std::string& name) const {
    const auto found = std::ranges::find(adapter_, "base_model.model." + name, &Held::name);
    return found->values;
  }
  // W + s B A at [row, column].
  static float Merged(float w, double s, const std::vector<float>& b, const std::vector<float>& a,
                      std::size_t row, std::size_t column, std::size_t rank) {
    double sum = 0;
    const std::size_t columns = a.size() / rank;
    for (std::size_t k = 0; k < rank; ++k) {
      sum += double{b[row * rank + k]} * double{a[k * columns + column]};
    }
    return static_cast<float>(double{w} + s * sum);
  }

  std::vector<Held> adapter_;
};

TEST_F(AdapterTest, BesideTheWeightsIsMergedIntoThem) {
  const RandomModel model;
  const Checkpoint base = Reference(model);
  const std::string fc = "visual.transformer.resblocks.1.mlp.c_fc";
  Add(fc + ".lora_A.weight", {2, 12});
  Add(fc + ".lora_B.weight", {30, 2});
  Add("token_embedding.lora_embedding_A", {3, 520});
  Add("token_embedding.lora_embedding_B", {8, 3});
  Add("visual.conv1.lora_A.weight", {2, 3, 7, 7});
  Add("visual.conv1.lora_B.weight", {12, 2, 1, 1});
  Add("ln_final.bias", {8});
  WriteAdapter({{"rank_pattern", {{"token_embedding", 3}}},
                {"alpha_pattern", {{"embedding", 100}, {"token_embedding", 5}}}});
  const Checkpoint got = LoadCheckpoint(path("reference"));
  EXPECT_EQ(got.layout, "open_clip directory, safetensors with a LoRA adapter");
  EXPECT_EQ(got.files.size(), 4u);
  EXPECT_NE(got.fingerprint, base.fingerprint);
  const auto values = [](const Checkpoint& c, const char* name) {
    return c.tensors.at(name).values;
  };
  std::vector<float> wanted = values(base, "vision.block.1.mlp.in.weight");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = Merged(wanted[i], 3.0, AdapterValues(fc + ".lora_B.weight"),
                       AdapterValues(fc + ".lora_A.weight"), i / 12, i % 12, 2);
  }
  EXPECT_EQ(values(got, "vision.block.1.mlp.in.weight"), wanted);
  // An embedding's matrix is the other way round.
  wanted = values(base, "text.token");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = Merged(wanted[i], 5.0 / 3.0, AdapterValues("token_embedding.lora_embedding_B"),
                       AdapterValues("token_embedding.lora_embedding_A"), i % 8, i / 8, 3);
  }
  EXPECT_EQ(values(got, "text.token"), wanted);
  wanted = values(base, "vision.patch.weight");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = Merged(wanted[i], 3.0, AdapterValues("visual.conv1.lora_B.weight"),
                       AdapterValues("visual.conv1.lora_A.weight"), i / 147, i % 147, 2);
  }
  EXPECT_EQ(values(got, "vision.patch.weight"), wanted);
  EXPECT_EQ(values(got, "text.ln_post.bias"), AdapterValues("ln_final.bias"));
  EXPECT_EQ(values(got, "vision.block.0.mlp.in.weight"),
            values(base, "vision.block.0.mlp.in.weight"));

  WriteAdapter({{"use_rslora", true}});
  wanted = values(base, "vision.block.1.mlp.in.weight");
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = Merged(wanted[i], 6 / std::sqrt(2.0), AdapterValues(fc + ".lora_B.weight"),
                       AdapterValues(fc + ".lora_A.weight"), i / 12, i % 12, 2);
  }
  EXPECT_EQ(values(LoadCheckpoint(path("reference")), "vision.block.1.mlp.in.weight"), wanted);
}

TEST_F(AdapterTest, WhatIsNotMergedIsRefusedWithTheLinesThatMergeIt) {
  Reference({});
  const std::string fc = "visual.transformer.resblocks.1.mlp.c_fc";
  Add(fc + ".lora_A.weight", {2, 12});
  Add(fc + ".lora_B.weight", {30, 2});
  const auto refused = [&](const Json& more, const char* words) {
    WriteAdapter(more);
    ExpectError(ErrorCode::kUnsupported, words, [&] { LoadCheckpoint(path("reference")); });
    ExpectError(ErrorCode::kUnsupported, "from_pretrained(\"org/base\")",
                [&] { LoadCheckpoint(path("reference")); });
    ExpectError(ErrorCode::kUnsupported, ".merge_and_unload(); model.save_pretrained(\"merged\")",
                [&] { LoadCheckpoint(path("reference")); });
  };
  refused({{"peft_type", "IA3"}}, "'peft_type' is 'IA3'");
  refused({{"use_dora", true}}, "'use_dora' is true");
  refused({{"fan_in_fan_out", true}}, "'fan_in_fan_out' is true");
  refused({{"init_lora_weights", "pissa"}}, "'init_lora_weights' is \"pissa\"");
  refused({{"layer_replication", {{0, 2}}}}, "'layer_replication'");
  refused({{"alpha_pattern", {{"c_.*", 3}}}}, "'alpha_pattern' has the pattern 'c_.*'");
  refused({{"some_new_setting", 3}}, "'some_new_setting' is 3");
  Add(fc + ".lora_magnitude_vector", {30});
  refused(Json::object(), "lora_magnitude_vector' is neither LoRA's nor one of the model's");
}

TEST_F(AdapterTest, ThatDoesNotFitTheWeightsIsDamage) {
  Reference({});
  const auto refused = [&](const char* words) {
    WriteAdapter();
    ExpectError(ErrorCode::kCorruptData, words, [&] { LoadCheckpoint(path("reference")); });
    adapter_.clear();
  };
  const std::string fc = "visual.transformer.resblocks.1.mlp.c_fc";
  Add(fc + ".lora_A.weight", {2, 12});
  refused("has no other half");
  Add(fc + ".lora_A.weight", {2, 12});
  Add(fc + ".lora_B.weight", {30, 3});
  refused("do not make 'visual.transformer.resblocks.1.mlp.c_fc.weight' [30, 12]");
  Add(fc + ".lora_A.weight", {2, 13});
  Add(fc + ".lora_B.weight", {30, 2});
  refused("do not make");
  Add(fc + ".lora_A.weight", {0, 12});
  Add(fc + ".lora_B.weight", {30, 0});
  refused("no rank from 1");
  Add("nothing.lora_A.weight", {2, 12});
  Add("nothing.lora_B.weight", {30, 2});
  refused("is for 'nothing.weight', which the weights beside it do not have");
  refused("holds no tensors");
  WriteAdapter();
  std::filesystem::remove(path("reference/adapter_model.safetensors"));
  ExpectError(ErrorCode::kNotFound, "but neither adapter_model.safetensors nor adapter_model.bin",
              [&] { LoadCheckpoint(path("reference")); });
}

TEST_F(AdapterTest, WithoutItsModelItSaysWhichOneThatIs) {
  Reference({});
  Add("visual.proj.lora_A.weight", {2, 12});
  WriteAdapter();
  std::filesystem::remove(path("reference/open_clip_config.json"));
  std::filesystem::remove(path("reference/open_clip_model.safetensors"));
  ExpectError(ErrorCode::kUnsupported, "an adapter without the weights of its model, 'org/base'",
              [&] { LoadCheckpoint(path("reference")); });
  // Its tensors, alone and among a model's.
  for (const char* name : {"base_model.model.visual.proj.lora_A.weight",
                           "visual.transformer.resblocks.0.mlp.c_fc.lora_B.default.weight",
                           "transformer.resblocks.1.attn.q_proj.w_lora_A",
                           "base_model.model.visual.conv1.base_layer.weight"}) {
    std::vector<Held> weights = RandomModel{}.Weights();
    weights.push_back({name, "", {1}, {0}});
    RandomModel::WriteTensors(path("unmerged.safetensors"), weights);
    ExpectError(ErrorCode::kUnsupported, "holds an adapter that is not merged",
                [&] { LoadCheckpoint(path("unmerged.safetensors"), "ViT-B-32"); });
    RandomModel::WriteTensors(path("alone.safetensors"), {weights.back()});
    ExpectError(ErrorCode::kUnsupported, "model = model.merge_and_unload()",
                [&] { LoadCheckpoint(path("alone.safetensors")); });
  }
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
  EXPECT_EQ(got.config.vision.activation, Activation::kQuickGelu);
  EXPECT_EQ(got.layout, "OpenAI's weights, PyTorch file");
  EXPECT_TRUE(got.vocabulary.empty());
  // Another activation than that of all of OpenAI's models, beside the file and in a directory.
  Json gelu = model.Config();
  gelu["model_cfg"]["quick_gelu"] = false;
  Write("gelu.json", DumpJson(gelu));
  ExpectError(
      ErrorCode::kInvalidArgument,
      "is OpenAI's (it has input_resolution, context_length, vocab_size), whose models have "
      "QuickGELU",
      [&] { LoadCheckpoint(path("ViT.pt"), path("gelu.json").string()); });
  Write("gelu/open_clip_config.json", DumpJson(gelu));
  Write("gelu/open_clip_pytorch_model.bin", TorchFileOf(weights));
  ExpectError(ErrorCode::kInvalidArgument, "set \"quick_gelu\": true in the configuration",
              [&] { LoadCheckpoint(path("gelu")); });
  Same(LoadCheckpoint(path("ViT.pt"), path("reference/open_clip_config.json").string()), wanted);
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
  refused("audio_branch.bn0.weight", "CLAP", true);
  refused("something.else", "no CLIP model", true);
}

TEST(Architectures, ByName) {
  EXPECT_EQ(FindArchitecture("ViT-B/16").vision.heads, 12);
  EXPECT_EQ(FindArchitecture("ViT-bigG-14").vision.mlp_width, 8192);
  EXPECT_EQ(FindArchitecture("ViT-L-14-quickgelu").vision.activation, Activation::kQuickGelu);
  EXPECT_TRUE(FindArchitecture("ViT-M-16-alt").vision.layer_scale);
  EXPECT_EQ(FindArchitecture("ViT-H-14-378").preprocess.resize_mode, ResizeMode::kSquash);
  EXPECT_FALSE(FindArchitecture("xlm-roberta-base-ViT-B-32").has_text());
  const ModelConfig siglip = FindArchitecture("ViT-SO400M-14-SigLIP2-378");
  EXPECT_EQ(siglip.vision.width, 1152);
  EXPECT_EQ(siglip.text.mlp_width, 4304);
  EXPECT_EQ(siglip.text.activation, Activation::kGeluTanh);
  EXPECT_EQ(siglip.preprocess.mean[0], 0.5f);
  EXPECT_EQ(siglip.tokenizer_name, "timm/ViT-SO400M-14-SigLIP2-378");
  EXPECT_EQ(FindArchitecture("ViT-L-14-CLIPA").pool.kind, Pooling::kAverage);
  EXPECT_EQ(FindArchitecture("nllb-clip-base-siglip").pool.kind, Pooling::kAttention);
  EXPECT_TRUE(FindArchitecture("ViT-B-32").has_text());
  ExpectError(ErrorCode::kUnsupported, "ResNet", [] { FindArchitecture("RN50"); });
  const ModelConfig coca = FindArchitecture("coca_ViT-B-32");
  EXPECT_TRUE(coca.pool.coca && coca.text_class && coca.text_decoder);
  EXPECT_EQ(coca.pool.heads, 8);
  EXPECT_EQ(coca.text_places(), 77);
  EXPECT_EQ(FindArchitecture("coca_base").pool.kind, Pooling::kToken);
  EXPECT_FALSE(FindArchitecture("coca_roberta-ViT-B-32").has_text());
  EXPECT_EQ(FindArchitecture("vit_medium_patch16_gap_256").pool.kind, Pooling::kNormedAverage);
  EXPECT_FALSE(FindArchitecture("ViT-SO400M-16-SigLIP-i18n-256").text_projection);
  ExpectError(ErrorCode::kNotFound, "known are openai, ", [] { FindArchitecture("ViT-Z"); });
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
  Write(repository + "refs/v1.0", commit);
  const std::string by_commit = "hf:org/some-Model.v1@" + commit;
  for (const char* name : {"hf:org/some-Model.v1@v1.0", by_commit.c_str()}) {
    EXPECT_EQ(find(name).filename(), commit);
  }
  ExpectError(ErrorCode::kNotFound, "no branch v2", [&] { find("hf:org/some-Model.v1@v2"); });
  ExpectError(ErrorCode::kNotFound, "get it: cliplens pull hf:org/other",
              [&] { find("hf:org/other"); });
  for (const char* name : {"hf:", "hf:org", "hf:org/", "hf:../x", "hf:org/..", "hf:org/a/b",
                           "hf:/etc/passwd", "hf:org/a--b", "hf:org/a b"}) {
    ExpectError(ErrorCode::kInvalidArgument, "hf:ORG/NAME", [&] { find(name); });
  }
  Write(repository + "refs/main", "../../../etc");
  ExpectError(ErrorCode::kCorruptData, "no commit", [&] { find("hf:org/some-Model.v1"); });
  const std::string partial(40, 'c');
  Write(repository + "snapshots/" + partial + "/open_clip_config.json", "{}");
  Write(repository + "refs/main", partial);
  ExpectError(ErrorCode::kNotFound, "lacks the configuration or weights; get it: cliplens pull",
              [&] { find("hf:org/some-Model.v1"); });
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
