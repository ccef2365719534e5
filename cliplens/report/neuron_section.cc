#include "cliplens/report/neuron_section.h"

#include <algorithm>
#include <cmath>

#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/neuron_picture_report.h"
#include "cliplens/report/score_section.h"

namespace cliplens {
namespace {

using html::Name;
using html::Percent;
using html::Put;

constexpr Index kFiringSide = 168;  // pixels of a map, for screens of double density

// Shares of single neurons are small.
std::string SmallPercent(double share) {
  return FormatFixed(100 * share, std::abs(share) < 0.01 ? 3 : 1) + "\u2009%";
}

void PutNeuronTexts(std::string& out, const NeuronWords& neuron, const TextPool& pool) {
  double longest = 1e-12;
  for (const NeuronWord& word : neuron.words) longest = std::max(longest, std::abs(word.weight));
  out +=
      "<table class=\"texts bars\">\n<thead><tr><th scope=\"col\"><span "
      "class=\"hide\">Place</span></th><th scope=\"col\">Text</th><th scope=\"col\"><span "
      "class=\"hide\">Weight as a bar</span></th><th scope=\"col\" "
      "class=\"number\">weight</th></tr></thead>\n<tbody>\n";
  int place = 0;
  for (const NeuronWord& word : neuron.words) {
    Put(out,
        "<tr class=\"{}\"><td class=\"place\">{}</td><td class=\"text\">{}</td><td "
        "class=\"meter\">{}</td><td class=\"number\">{}</td></tr>\n",
        word.weight < 0 ? "against" : "for", ++place, Name(At(pool.texts, word.text)),
        StaircaseBar(0, std::abs(word.weight) / longest), FormatSigned(word.weight, 2));
  }
  out += "</tbody></table>\n";
}

void PutCarriers(std::string& out, const NeuronShown& shown, const std::set<HeadId>& listed) {
  out += "<p class=\"kinds\"><span>Carried by</span>";
  for (const CarryingHead& head : shown.heads) {
    Put(out, " <span><b>{}</b> {}</span>",
        html::LinkIf(listed.contains(head.id), HeadName(head.id)), Percent(head.share));
  }
  out += "</p>\n";
}

void PutFirings(std::string& out, const NeuronShown& shown) {
  const double most = LargestActivation(shown);
  const double scale = RoundScale(most);
  out += "<div class=\"pictures\">\n<h4>Where it fires in the pictures of largest effect</h4>\n";
  out += most > 0 ? "<ul class=\"firings\">" : "<ol class=\"names\">";
  for (const TopPicture& picture : shown.pictures) {
    const std::string says =
        fmt::format("{} \u00b7 effect {}, along {}", EscapeHtml(picture.path),
                    FormatFixed(picture.norm, 4), FormatSigned(picture.along, 4));
    if (picture.picture) {
      const FittedSize size = FitInto(picture.picture->rgb, kFiringSide);
      Put(out, "<li title=\"{}\">{}</li>", says,
          ImageTag(DrawMap(*picture.picture, picture.fires, scale, size.width, size.height),
                   "where it fires in " + picture.path));
    } else if (most > 0) {
      Put(out,
          "<li><span class=\"t gone\" role=\"img\" aria-label=\"{0}, not readable\" "
          "title=\"{0}\"></span></li>",
          says);
    } else {
      Put(out, "<li><bdi>{}</bdi></li>", says);
    }
  }
  out += most > 0 ? "</ul>\n" : "</ol>\n";
  if (most > 0) out += ScaleLegend(scale, "activation on one patch");
  out += "</div>\n";
}

void PutNeuronCard(std::string& out, const ReportNeurons& neurons, const NeuronShown& shown,
                   const std::set<HeadId>& listed) {
  const NeuronWords& neuron = shown.words.neurons.front();
  Put(out,
      "<article class=\"head\" id=\"{0}\" aria-labelledby=\"{0}-h\">\n<div class=\"title\"><h3 "
      "id=\"{0}-h\">{0}</h3>\n<dl class=\"figures\"><div><dt>of the variance</dt><dd>{1}</dd></div>"
      "<div><dt>along one direction</dt><dd>{2}</dd></div><div><dt>the same on all "
      "pictures</dt><dd>{3}</dd></div><div><dt>cosine of its texts</dt><dd>{4}</dd></div></dl>"
      "</div>\n<div class=\"columns\"><div>\n",
      NeuronName(neuron.id), SmallPercent(shown.words.ShareOf(neuron)),
      Percent(neuron.top_explained), Percent(neuron.all_explained), FormatFixed(neuron.cosine, 2));
  PutNeuronTexts(out, neuron, neurons.pool);
  PutCarriers(out, shown, listed);
  out += "</div>\n";
  PutFirings(out, shown);
  out += "</div>\n</article>\n";
}

}  // namespace

std::string NeuronSection(const ReportNeurons& neurons, const std::set<HeadId>& listed) {
  std::string out;
  Put(out,
      "<section id=\"neurons\" aria-labelledby=\"neurons-h\">\n<h2 id=\"neurons-h\">Neurons</h2>\n"
      "<p>What single neurons of the MLPs do to the embedding through the attention of later "
      "layers, their second-order effects (<cite>Interpreting the Second-Order Effects of Neurons "
      "in CLIP</cite>, arXiv 2406.04341), on {} of <code>{}</code>. A share is the variance of one "
      "neuron\u2019s effect over that of the embeddings; effects overlap, so shares do not add up "
      "to a whole. Texts have weights of either sign; their sum is nearest to the direction "
      "of the effects on the {} where these are largest.</p>\n",
      Counted(neurons.store.images, "picture"), Name(neurons.store.data.front().root),
      Counted(std::min(neurons.store.neurons->top, neurons.store.images), "picture"));
  if (!neurons.problem.empty()) {
    Put(out, "<p class=\"notice\">Pictures could not be shown when this page was made: {}.</p>\n",
        Name(neurons.problem));
  }
  Index layer = -1;
  for (const NeuronShown& shown : neurons.shown) {
    const NeuronId id = shown.words.neurons.front().id;
    if (id.layer != layer) {
      layer = id.layer;
      const auto found = std::ranges::find(neurons.layers, layer, &NeuronLayer::layer);
      Put(out,
          "<h3 class=\"layer\">Layer {} <span class=\"muted\">{}, shares sum to {}</span></h3>\n",
          layer, Counted(found->neurons, "neuron"), SmallPercent(found->share));
    }
    PutNeuronCard(out, neurons, shown, listed);
  }
  return out + "</section>\n";
}

std::string FeedersOfCard(const ReportNeurons& neurons, HeadId head) {
  const auto found = neurons.feeders.find(head);
  if (found == neurons.feeders.end() || found->second.empty()) return "";
  std::string out = "<p class=\"kinds\"><span>Fed by neurons</span>";
  for (const RankedNeuron& neuron : found->second) {
    const std::string name = NeuronName(neuron.id);
    const bool shown = std::ranges::any_of(neurons.shown, [&](const NeuronShown& one) {
      return one.words.neurons.front().id == neuron.id;
    });
    Put(out, " <span><b>{}</b> {}</span>", html::LinkIf(shown, name), SmallPercent(neuron.through));
  }
  return out + "</p>\n";
}

}  // namespace cliplens
