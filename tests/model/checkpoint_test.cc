#include "cliplens/model/checkpoint.h"

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/model/clip.h"

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
  ExpectError(ErrorCode::kNotFound, "there is no open_clip_config.json in it",
              [&] { LoadCheckpoint(directory.path()); });
  directory.Write("open_clip_config.json", "{}");
  ExpectError(ErrorCode::kNotFound, "there is no open_clip_model.safetensors in it",
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
