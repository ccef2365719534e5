#include "cliplens/report/neuron_picture_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/canvas.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/json.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/neuron_report.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

std::string MissingText(const NeuronShown& shown) {
  if (shown.missing == 0) return "";
  return fmt::format("{} of {} pictures cannot be read any more and have no map\n", shown.missing,
                     shown.pictures.size());
}

Json DiscoveredJson(const std::vector<Discovered>& found, const TextPool& pool) {
  Json list = Json::array();
  for (const Discovered& d : found) {
    list.push_back({{"text", At(pool.texts, d.text)}, {"index", d.text}, {"score", d.score}});
  }
  return list;
}

}  // namespace

double LargestActivation(const NeuronShown& shown) {
  double most = 0;
  for (const TopPicture& picture : shown.pictures) {
    for (const double v : picture.fires.flat()) most = std::max(most, std::abs(v));
  }
  return most;
}

Json NeuronShownJson(const NeuronShown& shown) {
  const NeuronWordsReport& words = shown.words;
  const NeuronWords& neuron = words.neurons.front();
  Json json = {{"format", "cliplens.neurons.show/1"},
               {"model", ModelJson(words.store)},
               {"data", DataJson(words.store)},
               {"images", words.store.images},
               {"neuron", NeuronName(neuron.id)},
               {"variance", neuron.variance},
               {"embedding_variance", words.embedding_variance},
               {"top_explained", neuron.top_explained},
               {"all_explained", neuron.all_explained},
               {"threshold", neuron.threshold},
               {"pool", PoolJson(words.pool)},
               {"cosine", neuron.cosine},
               {"texts", NeuronWordListJson(neuron.words, words.pool)},
               {"heads", Json::array()},
               {"pictures", Json::array()}};
  for (const CarryingHead& head : shown.heads) {
    json["heads"].push_back(
        {{"head", HeadName(head.id)}, {"share", head.share}, {"cosine", head.cosine}});
  }
  for (const TopPicture& picture : shown.pictures) {
    Json entry = {{"item", picture.number},
                  {"path", picture.path},
                  {"norm", picture.norm},
                  {"along", picture.along}};
    if (picture.picture) {
      entry["fires"] = GridJson(picture.fires);
      if (picture.class_token) entry["class_token"] = *picture.class_token;
    }
    json["pictures"].push_back(std::move(entry));
  }
  if (shown.missing > 0) json["missing"] = shown.missing;
  return json;
}

std::string NeuronShownTable(const NeuronShown& shown) {
  const NeuronWordsReport& words = shown.words;
  const NeuronWords& neuron = words.neurons.front();
  std::string out = fmt::format(
      "{}  {} of the embeddings' variance; {} of it along one direction, {} on the {} {} of "
      "largest effect\n",
      NeuronName(neuron.id), FormatPercent(words.ShareOf(neuron), 4),
      FormatPercent(neuron.all_explained), FormatPercent(neuron.top_explained),
      std::min(words.store.neurons->top, words.store.images),
      words.store.neurons->text ? "texts" : "pictures");
  out += fmt::format("texts, cosine {} of their sum: {}\n\n", FormatNumber(neuron.cosine, 2),
                     NeuronWordsText(neuron.words, words.pool));
  Table heads({{"carried by"}, {"share of it", Align::kRight}, {"cosine", Align::kRight}});
  for (const CarryingHead& head : shown.heads) {
    heads.AddRow({HeadName(head.id), FormatPercent(head.share), FormatNumber(head.cosine, 2)});
  }
  out += heads.Render() + "\n";
  Table pictures({{words.store.neurons->text ? "text" : "picture"},
                  {"effect", Align::kRight},
                  {"along the direction", Align::kRight}});
  for (const TopPicture& picture : shown.pictures) {
    pictures.AddRow(
        {Printable(picture.path), FormatNumber(picture.norm, 4), FormatNumber(picture.along, 4)});
  }
  return out + pictures.Render() + MissingText(shown);
}

Image NeuronShownSheet(const NeuronShown& shown) {
  constexpr Index kColumns = 3;
  constexpr Index kSide = 240;
  constexpr Index kGap = 20;
  constexpr Index kMargin = 28;
  constexpr Index kHeader = 84;
  constexpr Index kBelow = 44;
  constexpr Index kLegend = 60;
  std::vector<const TopPicture*> drawn;
  for (const TopPicture& picture : shown.pictures) {
    if (picture.picture) drawn.push_back(&picture);
  }
  const Index rows = (std::ssize(drawn) + kColumns - 1) / kColumns;
  Canvas canvas(2 * kMargin + kColumns * kSide + (kColumns - 1) * kGap,
                kHeader + rows * (kSide + kBelow) + kLegend);
  const Index room = canvas.width() - 2 * kMargin;
  const NeuronWords& neuron = shown.words.neurons.front();
  canvas.Text({.x = kMargin, .y = 32, .size = 18},
              fmt::format("Where {} fires", NeuronName(neuron.id)), room);
  const std::vector<std::string> words =
      canvas.Wrap(NeuronWordsText(neuron.words, shown.words.pool), 12, room, 2);
  for (std::size_t i = 0; i < words.size(); ++i) {
    canvas.Text({.x = kMargin, .y = 52 + 16 * static_cast<Index>(i), .size = 12, .color = kMuted},
                words[i], room);
  }
  const double scale = RoundScale(LargestActivation(shown));
  for (Index i = 0; i < std::ssize(drawn); ++i) {
    const TopPicture& picture = *At(drawn, i);
    const FittedSize size = FitInto(picture.picture->rgb, kSide);
    const Index x = kMargin + i % kColumns * (kSide + kGap);
    const Index y = kHeader + i / kColumns * (kSide + kBelow);
    canvas.Paste(DrawMap(*picture.picture, picture.fires, scale, size.width, size.height), x, y);
    canvas.Text({.x = x, .y = y + size.height + 16, .size = 12}, picture.path, kSide);
    canvas.Text({.x = x, .y = y + size.height + 32, .size = 12, .color = kMuted},
                fmt::format("effect {}, along {}", FormatFixed(picture.norm, 4),
                            FormatSigned(picture.along, 4)),
                kSide);
  }
  const Index legend = kHeader + rows * (kSide + kBelow) + 4;
  const Index bar = std::min<Index>(300, room / 2);
  DrawScale(canvas, kMargin, legend, bar, scale);
  canvas.Text({.x = kMargin + bar + 18, .y = legend + 11, .size = 12, .color = kMuted},
              "activation by patch, behind the non-linearity", room - bar - 18);
  return canvas.image();
}

Json DiscoveryJson(const Discovery& discovery) {
  Json json = {{"format", "cliplens.neurons.discover/1"},
               {"model", ModelJson(discovery.store)},
               {"data", DataJson(discovery.store)},
               {"picture", discovery.path},
               {"neurons", discovery.neurons},
               {"active", discovery.active},
               {"strongest", Json::array()}};
  for (const ActiveNeuron& active : discovery.strongest) {
    json["strongest"].push_back(
        {{"neuron", NeuronName(active.neuron.id)},
         {"norm", active.norm},
         {"along", active.along},
         {"threshold", active.neuron.threshold},
         {"texts", NeuronWordListJson(active.neuron.words, discovery.pool)}});
  }
  json["concepts"] = DiscoveredJson(discovery.concepts, discovery.pool);
  json["against"] = DiscoveredJson(discovery.against, discovery.pool);
  return json;
}

std::string DiscoveryTable(const Discovery& discovery) {
  std::string out = fmt::format(
      "{}: {} of {} neurons have an effect above their threshold (the {}-th largest on {} "
      "pictures)\n",
      discovery.path, discovery.active, discovery.neurons,
      std::min(discovery.store.neurons->top, discovery.store.images), discovery.store.images);
  if (discovery.active == 0) return out;
  constexpr std::size_t kShown = 4;
  Table neurons({{"neuron"}, {"along", Align::kRight}, {"texts"}});
  for (const ActiveNeuron& active : discovery.strongest) {
    std::vector<NeuronWord> words = active.neuron.words;
    words.resize(std::min(words.size(), kShown));
    neurons.AddRow({NeuronName(active.neuron.id), FormatNumber(active.along, 4),
                    NeuronWordsText(words, discovery.pool)});
  }
  out += "\n" + neurons.Render() + "\n";
  Table concepts({{"concept"}, {"score", Align::kRight}});
  for (const Discovered& d : discovery.concepts) {
    concepts.AddRow({At(discovery.pool.texts, d.text), FormatNumber(d.score, 4)});
  }
  for (auto d = discovery.against.rbegin(); d != discovery.against.rend(); ++d) {
    concepts.AddRow({At(discovery.pool.texts, d->text), FormatNumber(d->score, 4)});
  }
  return out + concepts.Render();
}

Json NeuronCueJson(const NeuronCue& cue, const std::optional<CueScores>& scored) {
  Json json = {{"format", "cliplens.neurons.cue/1"},
               {"model", ModelJson(cue.store)},
               {"data", DataJson(cue.store)},
               {"pool", PoolJson(cue.pool)},
               {"towards", cue.towards},
               {"from", cue.from},
               {"neurons", cue.neurons},
               {"left_out", cue.left_out},
               {"words", Json::array()}};
  for (const NeuronCueWord& word : cue.words) {
    json["words"].push_back(
        {{"text", At(cue.pool.texts, word.text)}, {"index", word.text}, {"score", word.score}});
  }
  if (!scored) return json;
  Json pictures = Json::array();
  for (const auto& [path, score] : scored->scores) {
    pictures.push_back({{"path", path}, {"score", score}});
  }
  json["scored"] = {{"pictures", scored->place},
                    {"images", scored->pictures},
                    {"towards", scored->towards},
                    {"share", EstimateJson(scored->share)},
                    {"scores", std::move(pictures)}};
  PutLosses(json["scored"], scored->oriented, scored->skipped, scored->incomplete,
            scored->left_out);
  return json;
}

std::string NeuronCueTable(const NeuronCue& cue, const std::optional<CueScores>& scored) {
  std::string out = fmt::format(
      "words that push from '{}' towards '{}', by the {} neurons whose directions tell them apart "
      "most\n",
      cue.from, cue.towards, cue.neurons);
  if (cue.left_out > 0) {
    out += fmt::format("{} word{} too like '{}' left out\n", cue.left_out,
                       cue.left_out == 1 ? "" : "s", cue.towards);
  }
  out += '\n';
  Table words({{"score", Align::kRight}, {"word"}});
  for (const NeuronCueWord& word : cue.words) {
    words.AddRow({FormatNumber(word.score, 4), At(cue.pool.texts, word.text)});
  }
  out += words.Render();
  if (scored) {
    out += fmt::format("\n{}: {} of {} pictures are nearer to '{}' than to '{}', {} %\n",
                       scored->place, scored->towards, scored->pictures, cue.towards, cue.from,
                       FormatEstimate(scored->share, 100, 1));
  }
  return out;
}

}  // namespace cliplens
