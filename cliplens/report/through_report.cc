#include "cliplens/report/through_report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/explanation_report.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

std::string ScoreNumber(double v) { return FormatNumber(v, 4); }
// What one neuron brings is small.
std::string NeuronNumber(double v) { return FormatNumber(v, 5); }

std::string NameOfNeuron(const ScoreThrough& through, Index neuron) {
  return NeuronName({static_cast<int>(through.layer), static_cast<int>(neuron)});
}

std::string LayerText(const ScoreThrough& through) {
  return fmt::format("layer {}{}", through.layer, through.text ? " of the text tower" : "");
}

// Numbers of tokens by what they bring, of either sign, largest first; ties go to the lower.
std::vector<Index> StrongestTokensOf(std::span<const double> tokens, Index count) {
  std::vector<Index> order(tokens.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](Index i) { return std::abs(At(tokens, i)); });
  order.resize(std::min(order.size(), ToSize(count)));
  return order;
}

// The channel that carries most of what a neuron brings.
Index StrongestChannel(const ScoreThrough& through, Index neuron) {
  Index channel = 0;
  through.scores.pairs.row(neuron).cwiseAbs().maxCoeff(&channel);
  return channel;
}

// "0.0312 through L10.H3"
std::string StrongestHead(const ScoreThrough& through, Index neuron) {
  const Index channel = StrongestChannel(through, neuron);
  return fmt::format("{} through {}", NeuronNumber(through.scores.pairs(neuron, channel)),
                     HeadName(At(through.heads, channel)));
}

// "L10.H3 +0.0312"
std::string StrongestHeadInShort(const ScoreThrough& through, Index neuron) {
  const Index channel = StrongestChannel(through, neuron);
  return fmt::format("{} {}", HeadName(At(through.heads, channel)),
                     FormatSigned(through.scores.pairs(neuron, channel), 5));
}

// "0.0312 at 3, 4; -0.0104 at the class token": the tokens that bring most of what a neuron brings,
// patches by row and column.
std::string StrongestTokens(const ScoreThrough& through, Index row, Index grid) {
  constexpr Index kTokens = 3;
  std::string out;
  const std::span<const double> tokens = through.tokens.row(row);
  for (const Index token : StrongestTokensOf(tokens, kTokens)) {
    std::string place = "the class token";
    if (through.text) {
      const TextPart& word = At(through.text_words, token);
      place = fmt::format("{}'{}'", word.against ? "\u2212 " : "", Printable(word.text));
    } else if (token >= through.layout.prefix) {
      const Index patch = token - through.layout.prefix;
      place = fmt::format("{}, {}", patch / grid + 1, patch % grid + 1);
    } else if (const Index first = through.layout.prefix - through.layout.registers;
               token >= first) {
      place = fmt::format("register {}", token - first + 1);
    }
    out +=
        fmt::format("{}{} at {}", out.empty() ? "" : "; ", NeuronNumber(At(tokens, token)), place);
  }
  return out;
}

struct ScorePart {
  std::string name;
  double score = 0;
};
// What adds up to the score.
std::vector<ScorePart> PartsOf(const ScoreThrough& through) {
  std::vector<ScorePart> parts = {
      {fmt::format("{} neurons of layer {}, through later heads", through.scores.pairs.rows(),
                   through.layer),
       through.scores.pairs.sum()},
      {"their share of constants", through.scores.constants},
      {"what later heads bring from elsewhere", through.later_heads},
      {fmt::format("heads of layers 0 to {}", through.layer), through.other_heads},
      {"MLPs", through.mlps}};
  if (through.has_pool_mlp) parts.push_back({"POOL.MLP", through.pool_mlp});
  parts.push_back({"INPUT", through.input});
  parts.push_back({"all", through.sum()});
  return parts;
}

constexpr Index kNeuronMapSide = 112;  // of a small map
constexpr Index kNeuronMapGap = 16;
constexpr Index kBelowNeuronMap = 60;  // a neuron's name, score and head
constexpr Index kNeuronTextRow = 26;
constexpr Index kMostMapRows = 3;  // of maps
constexpr Index kMostNeuronTexts = 24;
constexpr Index kThroughHead = 64;  // the title and the parts
constexpr Index kThroughLegend = 58;

Index NeuronMapColumns(Index width) {
  return (width + kNeuronMapGap) / (kNeuronMapSide + kNeuronMapGap);
}

Index DrawnNeurons(const ScoreThrough& through, Index width) {
  return std::min<Index>(std::ssize(through.neurons),
                         through.text ? kMostNeuronTexts : kMostMapRows * NeuronMapColumns(width));
}

// The largest of what a token brings to the neurons that are drawn; patches alone where there are
// patches.
double LargestDrawnToken(const ScoreThrough& through, Index drawn) {
  double most = 0;
  for (Index n = 0; n < drawn; ++n) {
    for (const double v :
         through.tokens.row(n).subspan(through.text ? 0 : ToSize(through.layout.prefix))) {
      most = std::max(most, std::abs(v));
    }
  }
  return most;
}

}  // namespace

std::string ThroughTable(const ScoreThrough& through, Index grid) {
  std::string out =
      fmt::format("through the neurons of {} and the heads after it\n", LayerText(through));
  Table parts({{"part"}, {"score", Align::kRight}});
  for (const ScorePart& part : PartsOf(through)) parts.AddRow({part.name, ScoreNumber(part.score)});
  out += parts.Render() + "\n";
  Table neurons({{"neuron"},
                 {"score", Align::kRight},
                 {"strongest head"},
                 {through.text ? "strongest words" : "strongest patches (row, column)"}});
  for (Index n = 0; n < std::ssize(through.neurons); ++n) {
    const Index neuron = At(through.neurons, n);
    neurons.AddRow({NameOfNeuron(through, neuron), NeuronNumber(through.scores.of_neuron(neuron)),
                    StrongestHead(through, neuron), StrongestTokens(through, n, grid)});
  }
  return out + neurons.Render();
}

Json ThroughJson(const ScoreThrough& through) {
  Json json = {{"tower", through.text ? "text" : "image"},
               {"layer", through.layer},
               {"neurons", through.scores.pairs.sum()},
               {"constants", through.scores.constants},
               {"later_heads", through.later_heads},
               {"other_heads", through.other_heads},
               {"mlps", through.mlps},
               {"input", through.input},
               {"sum", through.sum()},
               {"by_head", Json::array()},
               {"strongest", Json::array()}};
  if (through.has_pool_mlp) json["pool_mlp"] = through.pool_mlp;
  for (std::size_t j = 0; j < through.heads.size(); ++j) {
    json["by_head"].push_back({{"head", HeadName(through.heads[j])},
                               {"score", through.scores.of_channel(static_cast<Index>(j))}});
  }
  for (Index n = 0; n < std::ssize(through.neurons); ++n) {
    const Index neuron = At(through.neurons, n);
    Json heads = Json::array();
    for (std::size_t j = 0; j < through.heads.size(); ++j) {
      heads.push_back({{"head", HeadName(through.heads[j])},
                       {"score", through.scores.pairs(neuron, static_cast<Index>(j))}});
    }
    const std::span<const double> tokens = through.tokens.row(n);
    Json one = {{"neuron", NameOfNeuron(through, neuron)},
                {"score", through.scores.of_neuron(neuron)},
                {"heads", std::move(heads)}};
    if (through.text) {
      one["by_word"] = Json::array();
      for (std::size_t w = 0; w < through.text_words.size(); ++w) {
        one["by_word"].push_back({{"text", through.text_words[w].text},
                                  {"against", through.text_words[w].against},
                                  {"score", tokens[w]}});
      }
    } else {
      if (through.layout.has_class()) one["class_token"] = tokens.front();
      if (through.layout.registers > 0) {
        const std::span<const double> in_front = tokens.first(ToSize(through.layout.prefix));
        const auto of_registers = in_front.last(ToSize(through.layout.registers));
        one["registers"] = std::accumulate(of_registers.begin(), of_registers.end(), 0.0);
      }
      one["patches"] = std::vector<double>(tokens.begin() + through.layout.prefix, tokens.end());
    }
    if (const auto words = through.words.find(neuron); words != through.words.end()) {
      one["words"] = words->second;
    }
    json["strongest"].push_back(std::move(one));
  }
  return json;
}

Index ThroughHeight(const ScoreThrough& through, const MappedPicture& picture, Index width) {
  const Index drawn = DrawnNeurons(through, width);
  if (through.text) return kThroughHead + drawn * kNeuronTextRow + kThroughLegend;
  const Index rows = (drawn + NeuronMapColumns(width) - 1) / NeuronMapColumns(width);
  return kThroughHead + rows * (FitInto(picture.rgb, kNeuronMapSide).height + kBelowNeuronMap) +
         kThroughLegend;
}

namespace {

// A neuron's map, and below it its name, its score and the head that carries most of it.
void DrawNeuronMap(Canvas& canvas, const ScoreThrough& through, const MappedPicture& picture,
                   Index row, double scale, Index x, Index y) {
  const FittedSize size = FitInto(picture.rgb, kNeuronMapSide);
  const Index neuron = At(through.neurons, row);
  const TokenLayout& layout = through.layout;
  const ArrayView<const double, 2> map(through.tokens.row(row).data() + layout.prefix,
                                       {layout.grid, layout.grid});
  canvas.Paste(DrawMap(picture, map, scale, size.width, size.height), x, y);
  canvas.Text({.x = x, .y = y + size.height + 15, .size = 12}, NameOfNeuron(through, neuron),
              kNeuronMapSide);
  canvas.Text({.x = x, .y = y + size.height + 30, .size = 12, .color = kMuted},
              FormatSigned(through.scores.of_neuron(neuron), 5));
  canvas.Text({.x = x, .y = y + size.height + 45, .size = 12, .color = kMuted},
              StrongestHeadInShort(through, neuron), kNeuronMapSide);
}

// A neuron's name and score, and the words on a ground of what each brings.
void DrawNeuronWords(Canvas& canvas, const ScoreThrough& through, Index row, double scale, Index x,
                     Index y, Index width) {
  constexpr Index kName = 80;
  constexpr Index kScore = 70;
  constexpr Index kHeadName = 130;
  constexpr double kWordStrength = 0.75;  // dark letters stay legible
  const Index neuron = At(through.neurons, row);
  const Index line = y + 16;
  canvas.Text({.x = x, .y = line, .size = 12}, NameOfNeuron(through, neuron), kName);
  canvas.Text({.x = x + kName + kScore - 8, .y = line, .size = 12, .align = TextAlign::kRight},
              FormatSigned(through.scores.of_neuron(neuron), 5));
  canvas.Text({.x = x + kName + kScore, .y = line, .size = 12, .color = kMuted},
              StrongestHeadInShort(through, neuron), kHeadName - 8);
  Index at = x + kName + kScore + kHeadName;
  for (std::size_t w = 0; w < through.text_words.size(); ++w) {
    const std::string word = PartText(through.text_words[w]);
    const Index room = canvas.TextWidth(word, 12) + 12;
    if (at + room > x + width) {
      canvas.Text({.x = at, .y = line, .size = 12, .color = kMuted}, "\u2026");
      break;
    }
    const double score = through.tokens.row(row)[w];
    canvas.Fill(at, y, room - 2, kNeuronTextRow - 4,
                Mix(Color{240, 240, 236}, score < 0 ? kAgainstColor : kForColor,
                    kWordStrength * std::min(1.0, std::abs(score) / scale)));
    canvas.Text({.x = at + 5, .y = line, .size = 12}, word);
    at += room;
  }
}

}  // namespace

void DrawThrough(Canvas& canvas, const ScoreThrough& through, const MappedPicture& picture, Index x,
                 Index y, Index width) {
  canvas.Text(
      {.x = x, .y = y + 8, .size = 13, .color = kMuted},
      fmt::format("through the neurons of {}: what each brings by way of later heads, and {}",
                  LayerText(through), through.text ? "by which words" : "where"),
      width);
  std::string parts;
  for (const ScorePart& part : PartsOf(through)) {
    parts += fmt::format("{}{} {}", parts.empty() ? "" : "  \u00b7  ", part.name,
                         FormatSigned(part.score, 4));
  }
  const std::vector<std::string> lines = canvas.Wrap(parts, 12, width, 2);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    canvas.Text({.x = x, .y = y + 28 + 16 * static_cast<Index>(i), .size = 12, .color = kMuted},
                lines[i], width);
  }
  const Index drawn = DrawnNeurons(through, width);
  const double scale = RoundScale(LargestDrawnToken(through, drawn));
  for (Index n = 0; n < drawn; ++n) {
    if (through.text) {
      DrawNeuronWords(canvas, through, n, scale, x, y + kThroughHead + n * kNeuronTextRow, width);
    } else {
      const Index step = FitInto(picture.rgb, kNeuronMapSide).height + kBelowNeuronMap;
      DrawNeuronMap(canvas, through, picture, n, scale,
                    x + n % NeuronMapColumns(width) * (kNeuronMapSide + kNeuronMapGap),
                    y + kThroughHead + n / NeuronMapColumns(width) * step);
    }
  }
  const Index legend = y + ThroughHeight(through, picture, width) - kThroughLegend + 10;
  DrawScale(canvas, x, legend, 300, scale);
  canvas.Text({.x = x + 318, .y = legend + 11, .size = 12, .color = kMuted},
              through.text ? "of the score, by neuron and word"
                           : "of the score, by neuron and patch; below a neuron its sum over all "
                             "tokens, and the head that carries most of it",
              width - 318);
}

}  // namespace cliplens
