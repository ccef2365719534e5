#include "cliplens/app/explanations.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cliplens/app/heads.h"
#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

Vector AsVector(std::span<const float> values) {
  return Eigen::Map<const Eigen::VectorXf>(values.data(), std::ssize(values)).cast<double>();
}

// What a pass brings directly: heads, INPUT and MLPs by the numbers of Components.
void AddDirectly(const Components& components, std::span<const double> scores, double sign,
                 ScoreThrough& through) {
  for (Index i = 0; i < components.size(); ++i) {
    const ComponentId id = components.at(i);
    const double score = sign * At(scores, i);
    if (id.kind == ComponentId::Kind::kInput) {
      through.input += score;
    } else if (id.kind == ComponentId::Kind::kPoolMlp) {
      through.pool_mlp += score;
    } else if (!id.is_head()) {
      through.mlps += score;
    } else {
      (id.layer > through.layer ? through.later_heads : through.other_heads) += score;
    }
  }
}

void AddNeurons(const NeuronScores& scores, double sign, ScoreThrough& through) {
  if (through.scores.pairs.size() == 0) {
    through.scores.pairs = Matrix::Zero(scores.pairs.rows(), scores.pairs.cols());
  }
  through.scores.pairs += sign * scores.pairs;
  through.scores.constants += sign * scores.constants;
}

// Ends what AddDirectly and AddNeurons began.
void ChooseNeurons(const NeuronPaths& paths, Index top, ScoreThrough& through) {
  for (Index j = 0; j < paths.heads(); ++j) through.heads.push_back(paths.head(j));
  through.later_heads -= through.scores.sum();
  through.neurons = StrongestNeurons(through.scores, top);
}

ScoreThrough SplitThrough(const ClipModel& model, const TokenPass& pass, const Explanation& whole,
                          std::span<const float> direction, const NeuronPaths& paths, Index top) {
  const Vector text = AsVector(direction);
  ScoreThrough through;
  through.layer = paths.layer();
  through.layout = model.config().layout();
  through.has_pool_mlp = model.image_readout().components().has_pool_mlp();
  AddDirectly(model.image_readout().components(), whole.components, 1, through);
  AddNeurons(ScoreNeurons(paths, pass.captures, text), 1, through);
  ChooseNeurons(paths, top, through);
  through.tokens = Array<double, 2>({std::ssize(through.neurons), pass.captures.pattern.dim(2)});
  for (Index n = 0; n < std::ssize(through.neurons); ++n) {
    std::ranges::copy(TokensOfNeuron(paths, pass.captures, At(through.neurons, n), text),
                      through.tokens.row(n).data());
  }
  return through;
}

// A text's pass, with its sign.
struct SpokenPass {
  TokenPass pass;
  std::vector<TextWord> words;
  bool against = false;
  double sign() const { return against ? -1 : 1; }
};

// The same through the text tower: the score is linear in the text's embedding too, and the
// picture's embedding is the direction.
ScoreThrough SplitThroughText(const ClipModel& model, const TokenPass& picture,
                              const NamedStatement& named, Index layer, Index top, int threads) {
  const Readout& readout = model.text_readout();
  if (named.statement.texts.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "--through text:L{}: '{}'{} is a mean of texts or a row that was made elsewhere, "
                "which has no pass of its own; explain a --text, or classes with one template "
                "against another class",
                layer, Printable(named.text),
                named.against.empty() ? "" : fmt::format(" or '{}'", Printable(named.against)));
  }
  const NeuronPaths paths(model.text_tower(), readout, layer, threads);
  const Vector image = AsVector(picture.embedding.row(0));
  const TokenWeights weights(readout, picture.embedding, threads);
  ScoreThrough through;
  through.layer = layer;
  through.text = true;
  std::vector<SpokenPass> passes;
  for (const StatementText& text : named.statement.texts) {
    SpokenPass& spoken = passes.emplace_back();
    spoken.pass = PassOf(model, text.text, threads, text.truncate, CapturesThrough(layer));
    spoken.words = model.tokenizer().Words(spoken.pass.tokens);
    spoken.against = text.against;
    const TokenScores scores = ScoreTokens(weights, spoken.pass.captures,
                                           {.pooled = spoken.pass.pooled}, ResolveThreads(threads));
    std::vector<double> components(scores.by_head.flat().begin(), scores.by_head.flat().end());
    components.insert(components.end(), scores.mlps.flat().begin(), scores.mlps.flat().end());
    AddDirectly(readout.components(), components, spoken.sign(), through);
    AddNeurons(ScoreNeurons(paths, spoken.pass.captures, image), spoken.sign(), through);
    for (const TextWord& word : spoken.words) {
      through.text_words.push_back({word.text, TextPartKind::kWord, spoken.against});
    }
  }
  ChooseNeurons(paths, top, through);
  through.tokens = Array<double, 2>({std::ssize(through.neurons), std::ssize(through.text_words)});
  for (Index n = 0; n < std::ssize(through.neurons); ++n) {
    double* to = through.tokens.row(n).data();
    for (const SpokenPass& spoken : passes) {
      const Vector tokens =
          TokensOfNeuron(paths, spoken.pass.captures, At(through.neurons, n), image);
      for (const TextWord& word : spoken.words) {
        *to++ = spoken.sign() * tokens.segment(word.begin, word.end - word.begin).sum();
      }
    }
  }
  return through;
}

}  // namespace

ExplanationReport ExplainPicture(const ClipModel& model, const TokenPass& pass,
                                 const ExplanationChoice& choice, int threads) {
  const NamedStatement named =
      choice.classes == nullptr
          ? TextAgainst(model, choice.text, choice.against, threads, choice.truncate)
          : ClassAgainst(model, pass, *choice.classes, choice.class_name, choice.against, threads);
  const ModelHeads all = HeadsIn(model);
  ExplanationReport report;
  report.text = named.text;
  report.against = named.against;
  report.against_kind = named.against_kind;
  report.layers = all.layers;
  report.heads = all.heads;
  report.pool_mlp = all.pool_mlp;
  report.level = all.level;
  report.grid = model.config().grid();
  report.explanation = Explain(model, pass, named.statement, threads);
  if (choice.through && choice.through_text) {
    report.through = SplitThroughText(model, pass, named, *choice.through, choice.top, threads);
  } else if (choice.through) {
    std::optional<NeuronPaths> made;
    if (choice.paths == nullptr) {
      made.emplace(model.image_tower(), model.image_readout(), *choice.through, threads);
    }
    report.through = SplitThrough(model, pass, report.explanation, named.statement.direction,
                                  made ? *made : *choice.paths, choice.top);
  }
  return report;
}

ReportScores MakeScores(const ClipModel& model, const Image& picture, const std::string& path,
                        const std::vector<std::string>& texts, bool truncate, int threads) {
  const TokenPass pass = PassOf(model, picture, threads, path);
  ReportScores scores;
  scores.maps.picture = MappedPictureOf(model, picture, path);
  scores.maps.panels = PanelsOf(model, pass,
                                {.texts = texts,
                                 .heads = HeadsIn(model).Parse("all"),
                                 .heads_text = "heads all",
                                 .truncate = truncate},
                                threads);
  scores.explanation =
      ExplainPicture(model, pass, {.text = texts.front(), .truncate = truncate}, threads);
  scores.explanation.picture = scores.maps.picture;
  return scores;
}

}  // namespace cliplens
