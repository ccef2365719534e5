// Where one picture's score comes from, with names.
//
//   const TokenPass pass = PassOf(model, picture, threads);
//   ExplanationReport report = ExplainPicture(model, pass, {.text = "a cat"}, threads);
//   report.picture = MappedPictureOf(model, picture, "cat.png");
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cliplens/analysis/explanation.h"
#include "cliplens/analysis/neuron_scores.h"
#include "cliplens/app/heat_maps.h"
#include "cliplens/base/component.h"
#include "cliplens/model/config.h"

namespace cliplens {

// The part of the score that the neurons of one layer bring through the heads of later ones: of
// the image tower, or of the text's own pass, whose components add up to the score as well. Where
// a text is subtracted, what its pass brings is too.
struct ScoreThrough {
  Index layer = 0;
  bool text = false;  // of the text tower
  NeuronScores scores;
  std::vector<HeadId> heads;                 // of the later layers
  double later_heads = 0;                    // what those heads bring from elsewhere
  double other_heads = 0;                    // of layers up to this one
  double mlps = 0, pool_mlp = 0, input = 0;  // directly
  std::vector<Index> neurons;                // the strongest
  // What each token brings to them [neurons, N]; of texts, each word.
  Array<double, 2> tokens;
  TokenLayout layout = {};                  // of a picture's tokens
  bool has_pool_mlp = false;                // POOL.MLP is a part
  std::vector<TextPart> text_words = {};    // of texts
  std::map<Index, std::string> words = {};  // of the strongest, where a store of them tells
  // Of all of the above: the score up to rounding.
  double sum() const { return scores.sum() + later_heads + other_heads + mlps + pool_mlp + input; }
};

struct ExplanationReport {
  MappedPicture picture;
  std::string text;          // what is scored: a text or a class
  std::string against;       // what was subtracted; empty: nothing
  std::string against_kind;  // "text", "runner-up", "class", "mean"; empty without
  int layers = 0, heads = 0;
  bool pool_mlp = false;
  Level level = Level::kBlocks;
  Index grid = 0;
  Explanation explanation;
  std::map<HeadId, std::string> labels;  // of heads that have one
  std::optional<ScoreThrough> through;
  Index top = 8;  // components listed on each side, and neurons

  Components components() const { return {layers, heads, pool_mlp, level}; }
};

// What is scored: a text, or a class.
struct ExplanationChoice {
  std::string text = {};
  const Classifier* classes = nullptr;  // instead of a text
  std::string class_name = {};          // empty: the picture's best class
  std::string against = {};             // as TextAgainst and ClassAgainst take it
  bool truncate = false;                // a text longer than the context is cut
  // A layer whose neurons the score is split over; the pass must have CapturesThrough(layer),
  // unless it is one of the text tower.
  std::optional<Index> through = {};
  bool through_text = false;
  const NeuronPaths* paths =
      nullptr;    // of that layer of the image tower, if they are there already
  Index top = 8;  // neurons
};
// Leaves the picture and the labels of heads empty. Throws as TextAgainst, ClassAgainst and
// Explain, with `through` as NeuronPaths and ScoreNeurons, and Error(kInvalidArgument) with
// `through_text` for classes that are no texts: of several templates, or a mean of classes.
ExplanationReport ExplainPicture(const ClipModel& model, const TokenPass& pass,
                                 const ExplanationChoice& choice, int threads);

// Maps of texts over one picture, and the parts of one of its scores.
struct ReportScores {
  HeatMapReport maps;
  ExplanationReport explanation;
};
// The maps of all texts through all heads, and the first text's score; explanation.labels is the
// caller's to fill. Throws as PanelsOf and ExplainPicture.
ReportScores MakeScores(const ClipModel& model, const Image& picture, const std::string& path,
                        const std::vector<std::string>& texts, bool truncate, int threads);

}  // namespace cliplens
