// Splits one score into what each component, each patch and each word contributes to it.
//
//   const TokenPass pass = PassOf(model, picture, /*threads=*/0);
//   const Statement text = TextStatement(model, "a photo of a duck", /*threads=*/0);
//   const Explanation e = Explain(model, pass, text, /*threads=*/0);
//   e.components[3];          // what component 3 (Components) adds to e.score
//   e.patch_part(0, 2);       // what word 0 and patch 2 add together
//
// The image side is that of "Interpreting CLIP's Image Representation via Text-Based Decomposition"
// (arXiv 2310.05916); the text tower is split by the same formulas, so that the score is a sum over
// pairs, ⟨e, t⟩ = Σ_i Σ_j ⟨c_i, d_j⟩, of image tokens i and words j.
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/heat_map.h"
#include "cliplens/analysis/zero_shot.h"
#include "cliplens/base/array.h"
#include "cliplens/model/clip.h"

namespace cliplens {

enum class TextPartKind {
  kWord,   // a word's tokens, through all heads of the text tower
  kInput,  // the text tower's INPUT
  kMlps,   // its MLPs
  kWhole,  // a direction that is not split: a class of several prompts, a mean of classes
};
const char* NameOf(TextPartKind kind);  // "word", "input", "mlps", "whole"

struct TextPart {
  std::string text;  // the word; "INPUT", "MLPs"; the name of a direction
  TextPartKind kind = TextPartKind::kWord;
  bool against = false;  // its contribution is subtracted
};

// A text that a direction is made of.
struct StatementText {
  std::string text;
  bool truncate = false;
  bool against = false;  // its embedding is subtracted
};

// A direction of the joint space as a sum of parts.
struct Statement {
  std::vector<TextPart> parts;
  Array<float, 2> rows;          // [parts, E] of each, signed
  std::vector<float> direction;  // [E] as the model itself gives it: the sum of the rows
  // Whose embeddings add up to it; empty where a part of it is kWhole.
  std::vector<StatementText> texts = {};
};

// A text as its words, INPUT and MLPs of the text tower. Throws as PassOf.
Statement TextStatement(const ClipModel& model, const std::string& text, int threads,
                        bool truncate = false);
// A direction [E] as one part.
Statement WholeStatement(const std::string& name, std::span<const float> direction);
// a − b.
Statement Difference(const Statement& a, const Statement& b);

// A statement with the names of what is scored and of what is subtracted.
struct NamedStatement {
  std::string text;          // a text or a class
  std::string against;       // empty: nothing is subtracted
  std::string against_kind;  // "text", "runner-up", "class", "mean"; empty without
  Statement statement;
};
// A text, minus another one unless `against` is empty. Throws as EmbedWords.
NamedStatement TextAgainst(const ClipModel& model, const std::string& text,
                           const std::string& against, int threads, bool truncate = false);
// A class (the picture's best one if no name is given) minus `against`. That is another class,
// "mean" (of all classes) or "runner-up", the best of the other classes, which is also the default.
// With one template a class is a text, so it is split into words. Throws Error(kNotFound) for a
// class that is not there, Error(kInvalidArgument) for one class alone, which has no runner-up.
NamedStatement ClassAgainst(const ClipModel& model, const TokenPass& picture,
                            const Classifier& classes, const std::string& class_name,
                            const std::string& against, int threads);

struct Explanation {
  double score = 0;  // ⟨e, w⟩ of the embeddings that the forward passes give
  double sum = 0;    // of all parts below; equals the score up to rounding
  // By the numbers of Components: heads by layer, INPUT, MLP 0 …; they add up to the score.
  std::vector<double> components;
  // [L] the part of the class token's attention to itself; 0 without such a token.
  std::vector<double> class_to_class;
  std::vector<TextPart> parts;
  // Each part's share: [parts, g²] with patches in rows from the top, and by name [parts].
  Array<double, 2> patch_part;
  std::vector<double> class_token, registers, mlps, pool_mlp, input;

  double of_part(Index part) const;    // a part's sum over everything of the image
  double of_patch(Index patch) const;  // a patch's sum over all parts
};

// Throws as TokenWeights. The same to the bit for any number of threads.
Explanation Explain(const ClipModel& model, const TokenPass& picture, const Statement& statement,
                    int threads);

}  // namespace cliplens
