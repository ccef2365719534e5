#include "cliplens/report/html_heads.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/report/html_sections.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/neuron_section.h"

namespace cliplens {
namespace {

using html::Name;
using html::Percent;
using html::Put;

// In the table of all heads: pictures and texts of each.
constexpr std::size_t kGlancePictures = 3;
constexpr std::size_t kGlanceTexts = 3;

const std::string* PropertyOf(const TextPool& pool, const SpanText& text) {
  const auto index = ToSize(text.index);
  if (index >= pool.properties.size() || !pool.properties[index]) return nullptr;
  return &*pool.properties[index];
}

double Explained(const ReportHead& head) {
  return head.span.texts.empty() ? 0 : head.span.texts.back().cumulative;
}

// What the reader must know about pictures that the page lacks.
void PutPictureNotice(std::string& out, const ReportInput& input) {
  const ThumbnailSet& set = input.thumbnails;
  if (input.store.stats_only) {
    out +=
        "<p class=\"notice\">The store keeps statistics only, so no pictures can be ranked along "
        "the texts. Decompose without <code>--stats-only</code> to see them.</p>\n";
  } else if (set.missing > 0 && set.missing == set.asked) {
    Put(out,
        "<p class=\"notice\">The pictures could not be read when this page was made, so they are "
        "named instead of shown. First reason: {}.</p>\n",
        Name(set.first_reason));
  } else if (set.missing > 0) {
    Put(out,
        "<p class=\"notice\">{} of {} pictures could not be read and are left blank. First reason: "
        "{}.</p>\n",
        FormatCount(set.missing), FormatCount(set.asked), Name(set.first_reason));
  }
}

// Shares of the head's variance by the property that the pool gives to its texts.
void PutProperties(std::string& out, const TextPool& pool, const ReportHead& head) {
  std::vector<std::pair<std::string, double>> sums;
  for (const SpanText& text : head.span.texts) {
    const std::string* property = PropertyOf(pool, text);
    if (property == nullptr) continue;
    auto found = std::find_if(sums.begin(), sums.end(),
                              [&](const auto& sum) { return sum.first == *property; });
    if (found == sums.end()) found = sums.insert(sums.end(), {*property, 0.0});
    found->second += text.share;
  }
  if (sums.empty()) return;
  std::stable_sort(sums.begin(), sums.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  out += "<p class=\"kinds\"><span>By kind of text</span>";
  for (const auto& [property, share] : sums) {
    Put(out, " <span><b>{}</b> {}</span>", Name(property), Percent(share));
  }
  out += "</p>\n";
}

void PutTexts(std::string& out, const TextPool& pool, const ReportHead& head) {
  out +=
      "<table class=\"texts\">\n<thead><tr><th scope=\"col\"><span "
      "class=\"hide\">Place</span></th><th scope=\"col\">Text</th><th scope=\"col\"><span "
      "class=\"hide\">Share and sum as a bar</span></th><th scope=\"col\" "
      "class=\"number\">share</th><th scope=\"col\" "
      "class=\"number\">sum</th></tr></thead>\n<tbody>\n";
  int place = 0;
  for (const SpanText& text : head.span.texts) {
    const std::string* property = PropertyOf(pool, text);
    Put(out,
        "<tr><td class=\"place\">{}</td><td class=\"text\">{}{}</td><td class=\"meter\">{}</td><td "
        "class=\"number\">{}</td><td class=\"number sum\">{}</td></tr>\n",
        ++place, Name(TextOfPool(pool, text)),
        property ? " <span class=\"kind\">" + Name(*property) + "</span>" : "",
        StaircaseBar(text.cumulative - text.share, text.share), FormatFixed(100 * text.share, 1),
        FormatFixed(100 * text.cumulative, 1));
  }
  out += "</tbody></table>\n";
}

// A head's label on its card.
void PutLabel(std::string& out, const ReportInput& input, HeadId id, const PagePictures& pictures) {
  if (!input.extras.labels) return;
  for (const HeadLabel& label : input.extras.labels->labels) {
    if (label.id != id) continue;
    out += LabelOfCard(*input.extras.labels, label, [&](const LabelEvidence& evidence) {
      std::string shown;
      if (pictures.Has(evidence.index)) {
        pictures.PutPicture(shown, {evidence.index, evidence.share});
      }
      return shown;
    });
  }
}

// `heads`: all of the model.
void PutCard(std::string& out, const ReportInput& input, const RankedHeads::Ranked& ranked,
             Index heads, const PagePictures& pictures) {
  const ReportHead& head = *ranked.head;
  const std::string name = HeadName(head.id);
  const Components terms = TermsOf(input.model, input.store.level);
  const Index last_layer_first =
      (terms.layers() - 1 - head.id.layer) * terms.heads_a_layer() + head.id.head;
  Put(out,
      "<article class=\"head\" id=\"{0}\" aria-labelledby=\"{0}-h\" data-place=\"{1}\" "
      "data-explained=\"{2}\">\n<div class=\"title\"><h3 id=\"{0}-h\">{0}</h3>\n"
      "<dl class=\"figures\"><div><dt>of the variance</dt><dd>{3}</dd></div><div><dt>place by "
      "share</dt><dd>{4}<small> of {5}</small></dd></div>"
      "<div><dt>explained by {6}</dt><dd>{7}</dd></div><div><dt>rank</dt><dd>{8}</dd></div></dl><a "
      "class=\"back\" href=\"#shares\">to the map</a></div>\n",
      name, last_layer_first, Explained(head),
      fmt::format("{}<small> \u00b1 {}</small>", Percent(ranked.share->share),
                  FormatFixed(100 * ranked.share->spread, 1)),
      ranked.place, heads, Counted(static_cast<Index>(head.span.texts.size()), "text"),
      Percent(Explained(head)), head.span.rank);
  PutLabel(out, input, head.id, pictures);
  if (head.span.texts.empty()) {
    out += "<p class=\"muted\">No text explains any of its variance.</p>\n</article>\n";
    return;
  }
  out += "<div class=\"columns\"><div>\n";
  PutTexts(out, input.pool, head);
  PutProperties(out, input.pool, head);
  if (input.extras.neurons) out += FeedersOfCard(*input.extras.neurons, head.id);
  out += "</div>\n";
  if (!head.extremes.empty()) {
    out += "<div class=\"pictures\">\n";
    for (std::size_t t = 0; t < std::min(head.extremes.size(), head.span.texts.size()); ++t) {
      Put(out, "<h4>{}</h4>\n", Name(TextOfPool(input.pool, head.span.texts[t])));
      pictures.PutStrip(out, "highest", head.extremes[t].highest);
      pictures.PutStrip(out, "lowest", head.extremes[t].lowest);
    }
    out += "</div>\n";
  }
  out += "</div>\n</article>\n";
}

}  // namespace

const std::string& TextOfPool(const TextPool& pool, const SpanText& text) {
  if (text.index < 0 || text.index >= static_cast<Index>(pool.texts.size())) {
    throw Error(ErrorCode::kInvalidArgument, "report: text {}; {} has {} texts", text.index,
                pool.name, pool.texts.size());
  }
  return At(pool.texts, text.index);
}

RankedHeads::RankedHeads(const ReportInput& input) {
  in_model = std::ranges::count_if(input.shares, [](const auto& one) { return one.head >= 0; });
  for (const ReportHead& head : input.heads) {
    const ComponentShare& share = ShareOfHead(input.shares, head.id);
    const Index place = 1 + std::ranges::count_if(input.shares, [&](const auto& other) {
                          return other.head >= 0 && other.share > share.share;
                        });
    heads.push_back({&head, &share, place});
  }
  std::ranges::sort(heads, [](const Ranked& a, const Ranked& b) {
    const double x = a.share->share, y = b.share->share;
    return x != y ? x > y : a.head->id < b.head->id;
  });
}

std::string GlanceSection(const ReportInput& input, const RankedHeads& ranked,
                          const PagePictures& pictures) {
  std::string out;
  Put(out,
      "<section id=\"glance\" aria-labelledby=\"glance-h\">\n<h2 id=\"glance-h\">{}</h2>\n"
      "<p>Largest share first. Texts are the first that TextSpan chose{}.</p>\n",
      static_cast<Index>(ranked.heads.size()) == ranked.in_model ? "All heads at a glance"
                                                                 : "The heads at a glance",
      pictures.empty() ? "" : "; pictures lie highest along the first of them");
  PutPictureNotice(out, input);
  // Sorting and filtering need the script, which shows the tools.
  out +=
      "<div class=\"tools\" hidden><label>Find <input type=\"search\" id=\"find\" placeholder=\"a "
      "word, or L5\"></label><label>Order <select id=\"order\"><option "
      "value=\"share\">share</option><option value=\"layer\">layer</option><option "
      "value=\"explained\">explained by texts</option></select></label><output id=\"found\" "
      "aria-live=\"polite\"></output></div>\n"
      "<table class=\"glance\">\n<thead><tr><th scope=\"col\">Head</th><th scope=\"col\" "
      "class=\"number\">Share</th><th scope=\"col\"><span class=\"hide\">Share as a "
      "bar</span></th><th scope=\"col\">First texts</th>";
  if (!pictures.empty()) out += "<th scope=\"col\">Highest</th>";
  out += "</tr></thead>\n<tbody>\n";
  double widest = 0;
  for (const auto& [head, share, place] : ranked.heads) widest = std::max(widest, share->share);
  for (const auto& [head, share, place] : ranked.heads) {
    Put(out,
        "<tr data-head=\"{0}\"><th scope=\"row\"><a href=\"#{0}\">{0}</a></th><td "
        "class=\"number\">{1}</td><td class=\"meter\">{2}</td><td class=\"words\">",
        HeadName(head->id), Percent(share->share),
        widest > 0 && share->share > 0 ? StaircaseBar(0, share->share / widest) : "");
    for (std::size_t t = 0; t < std::min(kGlanceTexts, head->span.texts.size()); ++t) {
      Put(out, "{}<q>{}</q>", t > 0 ? " " : "", Name(TextOfPool(input.pool, head->span.texts[t])));
    }
    out += "</td>";
    if (!pictures.empty()) {
      out += "<td class=\"peek\">";
      if (!head->extremes.empty()) {
        pictures.PutFirst(out, head->extremes.front().highest, kGlancePictures);
      }
      out += "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n</section>\n";
}

std::string CardsSection(const ReportInput& input, const RankedHeads& ranked,
                         const PagePictures& pictures) {
  std::string out =
      "<section id=\"heads\" aria-labelledby=\"heads-h\">\n<h2 id=\"heads-h\">Head by head</h2>\n"
      "<p>The strong part of a bar is what a text explains of the head\u2019s variance beyond "
      "the texts before it, in per cent.</p>\n<div id=\"cards\">\n";
  for (const RankedHeads::Ranked& ranked_head : ranked.heads) {
    PutCard(out, input, ranked_head, ranked.in_model, pictures);
  }
  return out + "</div>\n</section>\n";
}
}  // namespace cliplens
