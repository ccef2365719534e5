// Edits on a model with random weights (3 layers x 2 heads of width 6, embedding 10).
#include "cliplens/decompose/edit.h"

#include "tests/analysis/labelled_store.h"
#include "tests/expect_error.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/decompose/edit_file.h"
#include "cliplens/decompose/export.h"
#include "cliplens/decompose/model_edit.h"
#include "cliplens/decompose/store_edit.h"
#include "cliplens/io/file.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/io/sealed_json.h"

namespace cliplens {
namespace {

class EditTest : public LabelledStore {
 protected:
  EditTest() : store_(Decomposed("pictures", "store", 7)) {}

  Edit MeanEdit(const std::string& heads) const {
    Edit edit = MakeMeanEdit(store_.info(), store_.basis(), store_.statistics(),
                             ParseComponents(heads, {3, 2}));
    edit.means = "store";
    return edit;
  }
  Edit Scaled(const std::string& heads, double scale) const {
    return MakeScaleEdit(store_.info(), store_.basis(), scale, ParseComponents(heads, {3, 2}));
  }

  static std::string Names(const std::string& text) {
    std::string names;
    for (const ComponentId& t : ParseComponents(text, {3, 2})) names += NameOf(t) + " ";
    return names;
  }

  Matrix Embedded(const Edit& edit, bool normalize, int threads = 2) const {
    const ModelEdit applied(model_->image_readout(), edit);
    const auto set = OpenImageSet(path("pictures"));
    const Array<float, 2> rows =
        EmbedReadableImages(*model_, *set, OnError::kStop, threads, {}, {&applied, normalize}).rows;
    return AsEigen(rows.view()).cast<double>();
  }

  // e_edit in the embedding's numbers: everything but the components of `names`, which are replaced
  // by their means over the pictures or, with a scale, scaled.
  Matrix Expected(const std::vector<std::string>& names, std::optional<double> scale = {}) const {
    const Contributions c(store_);
    Matrix e = AsEigen(store_.ReadEmbeddings().view()).cast<double>();
    const auto change = [&](const Matrix& part) {
      e += scale ? Matrix((*scale - 1) * part) : Matrix(Contributions::Mean(part) - part);
    };
    for (const std::string& name : names) {
      if (name == "INPUT") change(c.mlps[0]);
      for (std::size_t l = 0; l < 3; ++l) {
        if (name == "L" + std::to_string(l)) change(c.heads[2 * l] + c.heads[2 * l + 1]);
        if (name == "L" + std::to_string(l) + ".MLP") change(c.mlps[l + 1]);
        for (std::size_t h = 0; h < 2; ++h) {
          if (name == HeadName({static_cast<int>(l), static_cast<int>(h)})) {
            change(c.heads[2 * l + h]);
          }
        }
      }
    }
    return e;
  }

  static void ExpectNear(const Matrix& a, const Matrix& b, double tolerance) {
    ASSERT_EQ(a.rows(), b.rows());
    ASSERT_EQ(a.cols(), b.cols());
    EXPECT_LE((a - b).cwiseAbs().maxCoeff(), tolerance);
  }

  // Writes an edit's file with a change and a fresh seal.
  std::filesystem::path Changed(const std::function<void(Json&)>& change) const {
    WriteEdit(path("changed.json"), MeanEdit("L1.H0"));
    Json json = ReadSealedJson(path("changed.json"), 1 << 20);
    change(json);
    WriteFileAtomically(path("changed.json"), SealJson(json));
    return path("changed.json");
  }

  Store store_;
};

TEST_F(EditTest, NamesOfComponents) {
  EXPECT_EQ(Names("L1.H0"), "L1.H0 ");
  EXPECT_EQ(Names("INPUT, mlps,L2.H1"), "INPUT L0.MLP L1.MLP L2.H1 L2.MLP ");
  EXPECT_EQ(Names("L0-L1,L1.H0,L2.H1"), "L0 L1 L2.H1 ");  // L1.H0 goes with its layer
  EXPECT_EQ(Names("last-1"), "L2 ");
  EXPECT_EQ(Names("all"), "L0 L1 L2 ");
  for (const char* text : {"", "L3.MLP", "L0.H2", "H0", "MLP", "L01.MLP", "input"}) {
    ExpectError(ErrorCode::kInvalidArgument, "heads", [&] { (void)Names(text); });
  }
}

// Spec test 7, its last clause.
TEST_F(EditTest, EmbedWithAnEditEqualsTheAblatedRowsOfTheStore) {
  const std::vector<std::vector<std::string>> sets = {
      {"L2.H1"},       {"L0.H0", "L2.H0", "L2.H1"},
      {"L1", "L2.H0"}, {"INPUT"},
      {"L1.MLP"},      {"INPUT", "L0", "L0.MLP", "L1.MLP", "L2.MLP", "L2.H1"}};
  for (const std::vector<std::string>& names : sets) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
    SCOPED_TRACE(text);
    const Edit edit = MeanEdit(text);
    EXPECT_EQ(edit.components.size(), names.size());
    const Matrix expected = Expected(names);
    const Matrix unit = expected.rowwise().normalized();
    ExpectNear(Embedded(edit, false), expected, 1e-6);
    ExpectNear(Embedded(edit, true), unit, 1e-6);
    ExpectNear(AsEigen(EditedRows(store_, edit, false).view()).cast<double>(), expected, 1e-6);
    ExpectNear(AsEigen(EditedRows(store_, edit, true).view()).cast<double>(), unit, 1e-6);
    for (const double x : {0.0, 0.25, 1.0, -2.0}) {
      const Edit scaled = Scaled(text, x);
      ExpectNear(Embedded(scaled, false), Expected(names, x), 2e-6);
      ExpectNear(AsEigen(EditedRows(store_, scaled, false).view()).cast<double>(),
                 Expected(names, x), 2e-6);
    }
  }
  EXPECT_EQ(Embedded(MeanEdit("L2.H1"), true, 1), Embedded(MeanEdit("L2.H1"), true, 3));
}

TEST_F(EditTest, AnEditDoesSomething) {
  const Matrix e = AsEigen(store_.ReadEmbeddings().view()).cast<double>();
  EXPECT_GT((Embedded(MeanEdit("L2.H1"), true) - e).cwiseAbs().maxCoeff(), 1e-3);
}

TEST_F(EditTest, TheFileHoldsTheEditToTheBit) {
  Edit edit = MeanEdit("L0.H1,L1,INPUT,L2.MLP");
  edit.note = "by hand";
  edit.components.back().mean = false;
  edit.components.back().scale = 0.1;
  edit.components.back().constant.clear();
  WriteEdit(path("edit.json"), edit);
  const Edit read = ReadEdit(path("edit.json"));
  EXPECT_EQ(read.fingerprint, store_.info().fingerprint);
  EXPECT_EQ(read.means, "store");
  EXPECT_EQ(read.means_images, 20);
  EXPECT_EQ(read.note, "by hand");
  EXPECT_EQ(read.Names(), "INPUT, L0.H1, L1, L2.MLP");
  ASSERT_EQ(read.components.size(), edit.components.size());
  for (std::size_t i = 0; i < edit.components.size(); ++i) {
    EXPECT_EQ(read.components[i].mean, edit.components[i].mean);
    EXPECT_EQ(read.components[i].scale, edit.components[i].scale);
    EXPECT_EQ(read.components[i].constant, edit.components[i].constant);
  }
}

TEST_F(EditTest, AnEditOfAnotherModelIsRefused) {
  const Edit edit = MeanEdit("L2.H1");
  CheckEditIsFor(edit, "e.json", store_.info().fingerprint, "model");
  ExpectError(ErrorCode::kInvalidArgument, std::string(32, '1'),
              [&] { CheckEditIsFor(edit, "e.json", std::string(32, '1'), "other"); });
  Edit larger = edit;
  larger.layers = 4;
  ExpectError(ErrorCode::kInvalidArgument, "4 x 2 heads",
              [&] { ModelEdit(model_->image_readout(), larger); });
  ExpectError(ErrorCode::kInvalidArgument, "4 x 2 heads",
              [&] { StoreEdit(store_.basis(), larger); });
}

TEST_F(EditTest, MalformedFilesAreRefused) {
  const auto refused = [&](const std::string& words, const std::function<void(Json&)>& change,
                           ErrorCode code = ErrorCode::kCorruptData) {
    const auto file = Changed(change);
    ExpectError(code, words, [&] { (void)ReadEdit(file); });
  };
  refused("cliplens.edit/1", [](Json& j) { j["format"] = "cliplens.span/1"; });
  refused(
      "cliplens.edit/2", [](Json& j) { j["format"] = "cliplens.edit/2"; }, ErrorCode::kUnsupported);
  refused("model", [](Json& j) { j.erase("model"); });
  refused("layers", [](Json& j) { j["model"]["layers"] = 0; });
  refused("heads", [](Json& j) { j["model"]["heads"] = 1e9; });
  refused("heads", [](Json& j) { j["model"]["heads"] = -1; });
  refused("embed_width", [](Json& j) { j["model"]["embed_width"] = 4'000'000'000; });
  refused("components", [](Json& j) { j["components"] = Json::array(); });
  refused("components", [](Json& j) { j["components"] = 3; });
  refused("L7.H0", [](Json& j) { j["components"][0]["component"] = "L7.H0"; });
  refused("L1.H00", [](Json& j) { j["components"][0]["component"] = "L1.H00"; });
  refused("mean or scale", [](Json& j) { j["components"][0]["mode"] = "zero"; });
  refused("has 9 numbers", [](Json& j) { j["components"][0]["mean"].erase(0); });
  refused("has 0 numbers", [](Json& j) { j["components"][0]["mean"] = "none"; });
  refused("not a number of 32 bits", [](Json& j) { j["components"][0]["mean"][3] = 1e39; });
  refused("not a number of 32 bits", [](Json& j) { j["components"][0]["mean"][3] = "1"; });
  refused("scale", [](Json& j) { j["components"][0]["mode"] = "scale"; });
  refused("outside of", [](Json& j) {
    j["components"][0]["mode"] = "scale";
    j["components"][0]["scale"] = 1e7;
  });
  refused("edited twice", [](Json& j) { j["components"].push_back(j["components"][0]); });
  refused("with its whole layer", [](Json& j) {
    j["components"].push_back(j["components"][0]);
    j["components"][1]["component"] = "L1";
  });
  refused("does not say of what", [](Json& j) { j.erase("means"); });
  refused("images", [](Json& j) { j["means"]["images"] = 0; });
  refused("'note' has", [](Json& j) { j["note"] = std::string(5000, 'x'); });
  // A changed byte anywhere is noticed.
  const auto file = Changed([](Json&) {});
  std::string text = ReadTextFile(file, 1 << 20);
  text[text.find("images\": 20") + 9] = '3';
  WriteFileAtomically(file, text);
  ExpectError(ErrorCode::kCorruptData, "checksum", [&] { (void)ReadEdit(file); });
  ExpectError(ErrorCode::kNotFound, "none.json", [&] { (void)ReadEdit(path("none.json")); });
}

TEST_F(EditTest, WhatLeavesNothingCannotBeMadeUnit) {
  for (const char* everything : {"all,mlps,INPUT", "L0,L1,L2,mlps,INPUT"}) {
    ExpectError(ErrorCode::kInvalidArgument, "leaves nothing, which has no direction",
                [&] { (void)Scaled(everything, 0); });
  }
  EXPECT_EQ(Scaled("all,mlps", 0).components.size(), 6u);  // three layers, three MLPs
  // Next to nothing is rounding.
  const Edit little = Scaled("all,mlps,INPUT", 1e-9);
  EXPECT_LE(Embedded(little, false).cwiseAbs().maxCoeff(), 1e-6);
  ExpectError(ErrorCode::kPrecondition, "no direction", [&] { (void)Embedded(little, true); });
  for (const float value : {0.0F, 1e-7F, INFINITY, NAN}) {
    std::vector<float> row(10, value);
    ExpectError(ErrorCode::kPrecondition, "--no-normalize", [&] { NormalizeRow(row); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "nothing",
              [&] { (void)MakeScaleEdit(store_.info(), store_.basis(), 0, {}); });
}

TEST_F(EditTest, ExportedContributionsAreEditedAndAddUp) {
  const Edit edit = MeanEdit("L1,L2.H0,INPUT");
  ExportNpy(store_, path("arrays"), &edit, false);
  const NpyArray attn = ReadNpy(path("arrays") / "attn.npy");
  const NpyArray mlp = ReadNpy(path("arrays") / "mlp.npy");
  const NpyArray embedding = ReadNpy(path("arrays") / "embedding.npy");
  EXPECT_FALSE(Exists(path("arrays") / "cls_attn.npy"));
  const Matrix expected = Expected({"L1", "L2.H0", "INPUT"});
  for (std::size_t b = 0; b < 20; ++b) {
    for (std::size_t e = 0; e < 10; ++e) {
      double sum = 0;
      for (std::size_t i = 0; i < 6; ++i) sum += attn.values[(b * 6 + i) * 10 + e];
      for (std::size_t j = 0; j < 4; ++j) sum += mlp.values[(b * 4 + j) * 10 + e];
      const double want = expected(static_cast<Index>(b), static_cast<Index>(e));
      EXPECT_NEAR(sum, want, 1e-6);
      EXPECT_NEAR(embedding.values[b * 10 + e], want, 1e-6);
    }
  }
  // What is baked gives the edited rows from factors alone.
  const std::vector<std::uint8_t> file = ReadFile(path("arrays") / "edit.safetensors", 1 << 30);
  const SafetensorsView baked(file, "baked");
  const auto changes = baked.at("changes");
  EXPECT_EQ(changes.shape, (std::vector<Index>{3, 9, 10}));
  EXPECT_EQ(baked.at("heads").shape, (std::vector<Index>{3, 2}));
  const auto floats = [](const TensorEntry& t) {
    return reinterpret_cast<const float*>(t.bytes.data());
  };
  const auto* heads = reinterpret_cast<const std::int32_t*>(baked.at("heads").bytes.data());
  const auto* mlps = reinterpret_cast<const std::int32_t*>(baked.at("mlps").bytes.data());
  Matrix e = AsEigen(store_.ReadEmbeddings().view()).cast<double>();
  const Array<float, 2> ln = store_.ReadLn();
  for (Index i = 0; i < 3; ++i) {
    const Array<float, 2> z = store_.ReadHead({heads[2 * i], heads[2 * i + 1]});
    const ArrayView<const float, 2> b(floats(changes) + i * 90, {9, 10});
    e += FactorsOf(store_.basis().layout(), z, ln) * AsEigen(b).cast<double>();
  }
  ASSERT_EQ(baked.at("mlps").shape, (std::vector<Index>{1}));
  EXPECT_EQ(mlps[0], 0);
  e -= Contributions(store_).mlps[0] * static_cast<double>(floats(baked.at("mlp_weights"))[0]);
  const ArrayView<const float, 2> constant(floats(baked.at("constant")), {1, 10});
  e.rowwise() += AsEigen(constant).cast<double>().row(0);
  ExpectNear(e, expected, 1e-6);
}

TEST_F(EditTest, MeansOfAnotherStoreDiffer) {
  WriteRandomPictures(path("others"), 9, 40);
  const Store others = Decomposed("others", "other", kShardImages, true);
  const std::vector<ComponentId> targets = ParseComponents("L2.H1", {3, 2});
  const Edit own = MeanEdit("L2.H1");
  const Edit other = MakeMeanEdit(store_.info(), store_.basis(), others.statistics(), targets);
  EXPECT_NE(own.components[0].constant, other.components[0].constant);
  const Vector mean = Contributions(Decomposed("others", "whole")).heads[5].colwise().mean();
  for (Index e = 0; e < 10; ++e) {
    EXPECT_NEAR(At(other.components[0].constant, e), mean[e], 1e-6);
  }
}

TEST_F(EditTest, VarianceIsThatOfContributions) {
  const ContributionMeans means(store_.basis(), store_.statistics());
  const Contributions c(store_);
  const auto variance = [](const Matrix& rows) {
    return (rows - Contributions::Mean(rows)).squaredNorm() / static_cast<double>(rows.rows());
  };
  EXPECT_NEAR(means.VarianceOf(ParseComponents("L2.H1", {3, 2})[0]), variance(c.heads[5]), 1e-7);
  EXPECT_NEAR(means.VarianceOf(ParseComponents("L1", {3, 2})[0]),
              variance(c.heads[2]) + variance(c.heads[3]), 1e-7);
  EXPECT_NEAR(means.VarianceOf(ParseComponents("L0.MLP", {3, 2})[0]), variance(c.mlps[1]), 1e-7);
  EXPECT_NEAR(means.VarianceOf(ParseComponents("INPUT", {3, 2})[0]), variance(c.mlps[0]), 1e-7);
}

}  // namespace
}  // namespace cliplens
