// Representations with neurons' effects replaced, held against sums over the stored effects, and a
// score's split over neurons against the definition of its parts.
#include "cliplens/analysis/neuron_ablation.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "tests/expect_error.h"
#include "tests/random_model.h"
#include "tests/random_pictures.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/analysis/class_maps.h"
#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/analysis/neuron_weights.h"
#include "cliplens/neurons/collect.h"

namespace cliplens {
namespace {

constexpr Index kPictures = 13;
constexpr Index kLayer = 1;

class NeuronAnalysisTest : public testing::Test {
 protected:
  NeuronAnalysisTest() {
    RandomModel{.layers = 4}.Write(path("model"));
    WriteRandomPictures(path("pictures"), kPictures, 24);
    model_.emplace(ClipModel::Load(path("model")));
    const std::unique_ptr<ImageSet> set = OpenImageSet(path("pictures"));
    CollectNeurons(*model_, *set,
                   {.out = path("store"), .layers = {1, 3}, .top = 3, .shard_images = 5});
    store_.emplace(NeuronStore::Open(path("store")));
    classes_ = model_->EmbedTexts(std::vector<std::string>{"red", "a bed", "seven"}, false, 1);
    for (Index i = 0; i < kPictures; ++i) labels_.push_back(i % 4 == 3 ? -1 : i % 4);
  }

  std::filesystem::path path(const std::string& name) const { return directory_.path() / name; }

  // φ̃ of every neuron [F][pictures, E].
  std::vector<Matrix> Effects() const {
    const NeuronFactors factors = store_->FactorsOf(kLayer);
    const Array<float, 3> alpha = factors.alpha(0, store_->paths(kLayer).neurons());
    std::vector<Matrix> effects;
    for (Index n = 0; n < alpha.dim(0); ++n) {
      effects.push_back(CentredEffects(store_->paths(kLayer), store_->directions(kLayer), n,
                                       alpha.view()[n], factors.shared.view()));
    }
    return effects;
  }

  NeuronAblation Ablate(std::span<const NeuronReplacement> replacements = {}, int threads = 2) {
    return AblateNeurons(*store_, *store_, kLayer, classes_, labels_, replacements,
                         {.threads = threads});
  }

  // The mean of the right class's score, and the share of right answers.
  std::pair<double, double> Measure(const Matrix& representation) const {
    const Matrix scores = representation * AsEigen(classes_.view()).cast<double>().transpose();
    double score = 0;
    double right = 0;
    double counted = 0;
    for (Index b = 0; b < kPictures; ++b) {
      const Index label = At(labels_, b);
      if (label < 0) continue;
      Index best = 0;
      scores.row(b).maxCoeff(&best);
      score += scores(b, label);
      right += best == label ? 1 : 0;
      ++counted;
    }
    return {score / counted, right / counted};
  }

  TokenPass Pass() const {
    return PassOf(*model_, RandomPicture(3, 24, 27), 1, "picture", CapturesThrough(kLayer));
  }

  TemporaryDirectory directory_;
  std::optional<ClipModel> model_;
  std::optional<NeuronStore> store_;
  Array<float, 2> classes_;
  std::vector<Index> labels_;
};

TEST_F(NeuronAnalysisTest, RowsAreTheSumsOfTheirEffects) {
  const std::vector<Matrix> effects = Effects();
  const NeuronDirections& d = store_->directions(kLayer);
  const Matrix whole = AsEigen(store_->ReadEmbeddings().view()).cast<double>();
  Matrix all = Matrix::Zero(whole.rows(), whole.cols());
  Matrix significant = all;
  Matrix along = all;
  double exceeding = 0;
  for (Index n = 0; n < std::ssize(effects); ++n) {
    const Matrix& effect = At(effects, n);
    all += effect;
    const RowVector direction =
        Eigen::Map<const Eigen::RowVectorXf>(d.top.row(n).data(), whole.cols()).cast<double>();
    along += effect * direction.transpose() * direction;
    for (Index b = 0; b < kPictures; ++b) {
      if (static_cast<float>(effect.row(b).norm()) <= d.threshold(n)) continue;
      significant.row(b) += effect.row(b);
      exceeding += At(labels_, b) >= 0 ? 1 : 0;
    }
  }
  const NeuronAblation found = Ablate();
  EXPECT_EQ(found.images, 10);
  ASSERT_EQ(found.rows.size(), 5U);
  const Matrix rows[] = {whole, whole - all, whole - significant, whole - all + significant,
                         whole - all + along};
  for (std::size_t r = 0; r < 5; ++r) {
    const auto [score, right] = Measure(rows[r]);
    EXPECT_NEAR(found.rows[r].score.value, score, 1e-10) << found.rows[r].name;
    EXPECT_NEAR(found.rows[r].accuracy.value, right, 1e-12) << found.rows[r].name;
  }
  EXPECT_NEAR(found.significant.value, exceeding / (10 * 30.0), 1e-12);
}

// Test 6 of the specification of neurons: what is significant and what is not make up the whole; a
// whole basis of directions gives back what was replaced.
TEST_F(NeuronAnalysisTest, PartsMakeUpTheWhole) {
  const NeuronPaths& paths = store_->paths(kLayer);
  std::vector<NeuronReplacement> basis;
  for (Index e = 0; e < paths.embed_width(); ++e) {
    Array<float, 2> rows({paths.neurons(), paths.embed_width()});
    for (Index n = 0; n < paths.neurons(); ++n) rows(n, e) = 1;
    basis.push_back({"axis", std::move(rows)});
  }
  const NeuronAblation found = Ablate(basis);
  const auto score = [&](Index row) { return At(found.rows, row).score.value; };
  EXPECT_NEAR(score(2) + score(3) - score(1), score(0), 1e-10);
  double sum = score(1);
  for (Index e = 0; e < paths.embed_width(); ++e) sum += score(5 + e) - score(1);
  EXPECT_NEAR(sum, score(0), 1e-10);
}

TEST_F(NeuronAnalysisTest, AblationDoesNotDependOnThreads) {
  const NeuronAblation one = Ablate({}, 1);
  const NeuronAblation three = Ablate({}, 3);
  for (std::size_t r = 0; r < one.rows.size(); ++r) {
    EXPECT_EQ(one.rows[r].score.value, three.rows[r].score.value);
    EXPECT_EQ(one.rows[r].accuracy.low, three.rows[r].accuracy.low);
  }
}

TEST_F(NeuronAnalysisTest, AblationRefusesWhatDoesNotFit) {
  RandomModel{.layers = 4, .seed = 5}.Write(path("other"));
  const ClipModel other = ClipModel::Load(path("other"));
  const std::unique_ptr<ImageSet> set = OpenImageSet(path("pictures"));
  CollectNeurons(other, *set, {.out = path("foreign"), .layers = {1, 3}});
  const NeuronStore foreign = NeuronStore::Open(path("foreign"));
  ExpectError(ErrorCode::kInvalidArgument, "of the same model",
              [&] { (void)AblateNeurons(*store_, foreign, kLayer, classes_, labels_, {}, {}); });
  ExpectError(ErrorCode::kInvalidArgument, "no layer 0",
              [&] { (void)AblateNeurons(*store_, *store_, 0, classes_, labels_, {}, {}); });
  labels_.pop_back();
  ExpectError(ErrorCode::kInvalidArgument, "12 labels for 13 pictures", [&] { Ablate(); });
}

TEST_F(NeuronAnalysisTest, ScoresOfNeuronsAreProductsWithTheirEffects) {
  const NeuronPaths paths(model_->image_tower(), model_->image_readout(), kLayer, 1);
  const TokenPass pass = Pass();
  const NeuronCoefficients c = paths.CoefficientsOf(pass.captures);
  const Vector text = AsEigen(classes_.view()).row(1).cast<double>().transpose();
  const NeuronScores scores = ScoreNeurons(paths, pass.captures, text);
  EXPECT_NEAR(scores.sum(), SumOfEffects(paths, c).dot(text), 1e-12);
  double tokens_of_all = 0;
  for (Index n = 0; n < paths.neurons(); ++n) {
    const double wanted = (c.alpha.row(n) * paths.Directions(n)).dot(text);
    EXPECT_NEAR(scores.of_neuron(n), wanted, 1e-13);
    const Vector tokens = TokensOfNeuron(paths, pass.captures, n, text);
    EXPECT_EQ(tokens.size(), 10);
    EXPECT_NEAR(tokens.sum(), wanted, 1e-12);
    tokens_of_all += tokens[4];
  }
  const Vector all = TokensOfAllNeurons(paths, pass.captures, text);
  EXPECT_NEAR(all[4], tokens_of_all, 1e-12);
  EXPECT_NEAR(all.sum(), scores.pairs.sum(), 1e-12);
  const std::vector<Index> strongest = StrongestNeurons(scores, 4);
  ASSERT_EQ(strongest.size(), 4U);
  EXPECT_GE(std::abs(scores.of_neuron(strongest[0])), std::abs(scores.of_neuron(strongest[3])));
  ExpectError(ErrorCode::kInvalidArgument, "width 3",
              [&] { (void)ScoreNeurons(paths, pass.captures, Vector::Ones(3)); });
}

TEST_F(NeuronAnalysisTest, NormsOfPairsAreThoseOfTheirDirections) {
  const NeuronPaths& paths = store_->paths(kLayer);
  const Matrix norms = PairNorms(paths, 2);
  double largest = 0;
  for (Index n = 0; n < paths.neurons(); ++n) {
    const Matrix directions = paths.Directions(n);
    for (Index j = 0; j < paths.channels(); ++j) {
      EXPECT_NEAR(norms(n, j), directions.row(j).norm(), 1e-12);
      largest = std::max(largest, norms(n, j));
    }
  }
  const std::vector<NeuronPair> pairs = StrongestPairs(norms, 7);
  ASSERT_EQ(pairs.size(), 7U);
  EXPECT_EQ(pairs[0].norm, largest);
  EXPECT_TRUE(std::ranges::is_sorted(pairs, std::greater<>(), &NeuronPair::norm));
  EXPECT_EQ(StrongestPairs(norms, 1'000'000).size(), 30U * 4);
  const Vector feed = FeedOfChannels(norms);
  EXPECT_NEAR(feed[2] * feed[2], norms.col(2).squaredNorm() / 30, 1e-12);
}

// The exact map is the neurons' part of the score, by patch; the paper's is a mean of activations.
TEST_F(NeuronAnalysisTest, MapsOfClassesByNeurons) {
  const ClassMaps exact(*model_, classes_, MapMethod::kNeuronEffects, {}, 1, {.layers = {1, 3}});
  const TokenPass pass = PassOf(*model_, RandomPicture(3, 24, 27), 1, "", exact.captures());
  const Array<double, 2> map = exact.MapOf(pass.captures, 2);
  const Matrix texts = AsEigen(classes_.view()).cast<double>();
  const Vector contrast = (texts.row(2) - texts.colwise().mean()).transpose();
  Vector tokens = Vector::Zero(10);
  for (Index l = 1; l < 3; ++l) {
    const NeuronPaths paths(model_->image_tower(), model_->image_readout(), l, 1);
    for (Index n = 0; n < paths.neurons(); ++n) {
      tokens += TokensOfNeuron(paths, pass.captures, n, contrast);
    }
  }
  for (Index i = 0; i < 9; ++i) EXPECT_NEAR(map(i / 3, i % 3), tokens[i + 1], 1e-6);

  const ClassMaps paper(*model_, classes_, MapMethod::kNeurons, {}, 1,
                        {.store = &*store_, .top = 2});
  const TokenPass hidden = PassOf(*model_, RandomPicture(3, 24, 27), 1, "", paper.captures());
  // The two neurons of both layers whose directions are most along the class.
  std::vector<std::pair<double, std::pair<Index, Index>>> along;
  for (Index l = 1; l < 3; ++l) {
    const MatrixF& top = AsEigen(store_->directions(l).top.view());
    for (Index n = 0; n < top.rows(); ++n) {
      along.push_back({-std::abs(top.row(n).cast<double>().dot(texts.row(2))), {l, n}});
    }
  }
  std::ranges::sort(along);
  const Array<double, 2> mean = paper.MapOf(hidden.captures, 2);
  for (Index i = 0; i < 9; ++i) {
    double wanted = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      const auto [l, n] = along[k].second;
      wanted += hidden.captures.hidden[l](i + 1, n) / 2.0;
    }
    EXPECT_NEAR(mean(i / 3, i % 3), wanted, 1e-6);
  }
  ExpectError(ErrorCode::kInvalidArgument, "--neurons",
              [&] { ClassMaps(*model_, classes_, MapMethod::kNeurons, {}, 1); });
  ExpectError(ErrorCode::kInvalidArgument, "--layers",
              [&] { ClassMaps(*model_, classes_, MapMethod::kNeuronEffects, {}, 1); });
}

}  // namespace
}  // namespace cliplens
