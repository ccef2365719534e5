#include "cliplens/analysis/explanation.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"

namespace cliplens {

const char* NameOf(TextPartKind kind) {
  switch (kind) {
    case TextPartKind::kWord:
      return "word";
    case TextPartKind::kInput:
      return "input";
    case TextPartKind::kMlps:
      return "mlps";
    case TextPartKind::kWhole:
      return "whole";
  }
  return "";
}

Statement TextStatement(const ClipModel& model, const std::string& text, int threads,
                        bool truncate) {
  if (model.text_rows() != nullptr) {  // there are no words to split it over
    return WholeStatement(text, model.text_rows()->Find(text));
  }
  const TokenPass pass = PassOf(model, text, threads, truncate);
  const Array<float, 2> tokens = TokenContributions(model.text_readout(), pass.captures);
  const std::vector<TextWord> words = model.tokenizer().Words(pass.tokens);
  const auto count = static_cast<Index>(words.size());
  const Index width = tokens.dim(1);
  Statement statement;
  statement.rows = Array<float, 2>({count + 2, width});
  for (Index w = 0; w < count; ++w) {
    const TextWord& word = At(words, w);
    statement.parts.push_back({word.text, TextPartKind::kWord, false});
    for (Index e = 0; e < width; ++e) {
      double sum = 0;
      for (Index i = word.begin; i < word.end; ++i) sum += tokens(i, e);
      statement.rows(w, e) = static_cast<float>(sum);
    }
  }
  statement.parts.push_back({"INPUT", TextPartKind::kInput, false});
  statement.parts.push_back({"MLPs", TextPartKind::kMlps, false});
  for (Index rest = 0; rest < 2; ++rest) {
    std::ranges::copy(tokens.row(tokens.dim(0) - 2 + rest),
                      statement.rows.row(count + rest).data());
  }
  statement.direction.assign(pass.embedding.flat().begin(), pass.embedding.flat().end());
  statement.texts = {{text, truncate}};
  return statement;
}

Statement WholeStatement(const std::string& name, std::span<const float> direction) {
  Statement statement;
  statement.parts.push_back({name, TextPartKind::kWhole, false});
  statement.direction.assign(direction.begin(), direction.end());
  statement.rows = {{1, static_cast<Index>(direction.size())}, statement.direction};
  return statement;
}

Statement Difference(const Statement& a, const Statement& b) {
  if (a.direction.size() != b.direction.size()) {
    throw Error(ErrorCode::kInvalidArgument, "statements of {} and {} numbers", a.direction.size(),
                b.direction.size());
  }
  Statement out = a;
  for (std::size_t e = 0; e < out.direction.size(); ++e) out.direction[e] -= b.direction[e];
  std::vector<float> rows(a.rows.flat().begin(), a.rows.flat().end());
  for (const float v : b.rows.flat()) rows.push_back(-v);
  for (TextPart part : b.parts) {
    part.against = !part.against;
    out.parts.push_back(std::move(part));
  }
  out.rows = {{a.rows.dim(0) + b.rows.dim(0), a.rows.dim(1)}, std::move(rows)};
  if (out.texts.empty() || b.texts.empty()) {
    out.texts.clear();
    return out;
  }
  for (StatementText text : b.texts) {
    text.against = !text.against;
    out.texts.push_back(std::move(text));
  }
  return out;
}

NamedStatement TextAgainst(const ClipModel& model, const std::string& text,
                           const std::string& against, int threads, bool truncate) {
  const auto statement = [&](const std::string& words) {
    EmbedWords(model, {words}, threads, truncate);
    return TextStatement(model, words, threads, truncate);
  };
  if (against.empty()) return {text, "", "", statement(text)};
  return {text, against, "text", Difference(statement(text), statement(against))};
}

NamedStatement ClassAgainst(const ClipModel& model, const TokenPass& picture,
                            const Classifier& classes, const std::string& class_name,
                            const std::string& against, int threads) {
  constexpr char kRunnerUp[] = "runner-up";
  constexpr char kMean[] = "mean";
  const auto statement = [&](Index index) {
    const std::string& name = At(classes.names, index);
    if (classes.templates.size() == 1) {
      return TextStatement(model, FillTemplate(classes.templates.front(), name), threads,
                           classes.truncate);
    }
    return WholeStatement(name, classes.rows.row(index));
  };
  // Best first.
  const std::vector<ClassScore> ranked =
      TopClasses(picture.embedding.row(0), classes.rows, model.logits(), classes.rows.dim(0));
  const Index chosen = class_name.empty() ? ranked.front().index : classes.Find(class_name);
  NamedStatement out;
  out.text = At(classes.names, chosen);
  if (against == kMean) {
    out.against_kind = kMean;
    out.against = classes.MeanName();
    out.statement =
        Difference(statement(chosen), WholeStatement(out.against, classes.Mean().row(0)));
    return out;
  }
  Index other = -1;
  if (against.empty() || against == kRunnerUp) {
    out.against_kind = kRunnerUp;
    const auto best = std::ranges::find_if(
        ranked, [&](const ClassScore& score) { return score.index != chosen; });
    if (best == ranked.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: one class has no runner-up; name more classes, or explain a text",
                  classes.name);
    }
    other = best->index;
  } else {
    out.against_kind = "class";
    other = classes.Find(against);
  }
  out.against = At(classes.names, other);
  out.statement = Difference(statement(chosen), statement(other));
  return out;
}

double Explanation::of_part(Index part) const {
  const auto at = ToSize(part);
  double total = class_token[at] + registers[at] + mlps[at] + pool_mlp[at] + input[at];
  for (const double v : patch_part.row(part)) total += v;
  return total;
}

double Explanation::of_patch(Index patch) const {
  double total = 0;
  for (Index j = 0; j < patch_part.dim(0); ++j) total += patch_part(j, patch);
  return total;
}

Explanation Explain(const ClipModel& model, const TokenPass& picture, const Statement& statement,
                    int threads) {
  const Index parts = statement.rows.dim(0);
  const Index width = statement.rows.dim(1);
  // The direction itself stands behind its parts.
  std::vector<float> rows(statement.rows.flat().begin(), statement.rows.flat().end());
  rows.insert(rows.end(), statement.direction.begin(), statement.direction.end());
  const Array<float, 2> directions({parts + 1, width}, std::move(rows));
  const TokenWeights weights(model.image_readout(), directions, threads);
  const TokenScores scores = ScoreTokens(
      weights, picture.captures,
      {.detail = TokenDetail::kLayers, .pooled = picture.pooled, .registers = picture.registers},
      ResolveThreads(threads));

  Explanation out;
  for (Index e = 0; e < width; ++e) {
    out.score += static_cast<double>(picture.embedding(0, e)) * directions(parts, e);
  }
  for (Index h = 0; h < scores.by_head.dim(0); ++h) {
    out.components.push_back(scores.by_head(h, parts));
  }
  for (Index j = 0; j < scores.mlps.dim(0); ++j) out.components.push_back(scores.mlps(j, parts));
  for (Index l = 0; l < scores.components.layers(); ++l) {
    out.class_to_class.push_back(
        scores.pooled == kNoPooledToken ? 0.0 : scores.detail(l, parts, scores.pooled));
  }
  out.parts = statement.parts;
  const Index prefix = model.config().layout().prefix;
  const Index patches = scores.tokens.dim(1) - prefix;
  out.patch_part = Array<double, 2>({parts, patches});
  for (Index j = 0; j < parts; ++j) {
    std::ranges::copy(scores.tokens.row(j).subspan(ToSize(prefix)), out.patch_part.row(j).data());
    const ScoreRest rest = RestOf(scores, j);
    out.class_token.push_back(rest.pooled_token);
    out.registers.push_back(rest.registers);
    out.mlps.push_back(rest.mlps);
    out.pool_mlp.push_back(rest.pool_mlp);
    out.input.push_back(rest.input);
    out.sum += out.of_part(j);
  }
  return out;
}

}  // namespace cliplens
