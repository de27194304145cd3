//! Names of folders in the form that everybody else uses.
//!
//! A Mac's file system (HFS+) keeps `é` as `e` and a mark (NFD), while servers and mail programs
//! have the one character (NFC, which RFC 6855 asks for): to a server that is another folder of
//! the same looks.

use std::borrow::Cow;

/// The name with letters and their marks composed, as far as Latin, Greek, Cyrillic, Kana and
/// Hangul go. What it does not know stays as it is, which means the same.
pub(crate) fn composed(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || !name.chars().any(follows_a_letter) {
        return Cow::Borrowed(name);
    }
    let mut composed = String::with_capacity(name.len());
    // The last character, which the next may become a part of.
    let mut last: Option<char> = None;
    for char in name.chars() {
        match last.and_then(|base| compose(base, char)) {
            Some(whole) => last = Some(whole),
            None => composed.extend(last.replace(char)),
        }
    }
    composed.extend(last);
    Cow::Owned(composed)
}

/// Whether a character may be a part of the one before it.
fn follows_a_letter(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{1161}'..='\u{11c2}' | '\u{3099}' | '\u{309a}')
}

fn compose(base: char, mark: char) -> Option<char> {
    if !follows_a_letter(mark) {
        return None;
    }
    compose_hangul(base, mark).or_else(|| {
        let (_, pairs) = PAIRS.iter().find(|(with, _)| *with == mark)?;
        let mut chars = pairs.chars();
        while let (Some(letter), Some(whole)) = (chars.next(), chars.next()) {
            if letter == base {
                return Some(whole);
            }
        }
        None
    })
}

/// The arithmetic of the Unicode Standard, section 3.12: a leading consonant with a vowel, and
/// those with a trailing consonant.
fn compose_hangul(base: char, mark: char) -> Option<char> {
    const SYLLABLES: u32 = 0xac00;
    const LEADING: u32 = 0x1100;
    const VOWELS: u32 = 0x1161;
    /// One before the first trailing consonant: a syllable may have none.
    const TRAILING: u32 = 0x11a7;
    const VOWEL_COUNT: u32 = 21;
    const TRAILING_COUNT: u32 = 28;
    let (base, mark) = (u32::from(base), u32::from(mark));
    match (base, mark) {
        (0x1100..=0x1112, 0x1161..=0x1175) => {
            let syllable = (base - LEADING) * VOWEL_COUNT + (mark - VOWELS);
            char::from_u32(SYLLABLES + syllable * TRAILING_COUNT)
        }
        (0xac00..=0xd7a3, 0x11a8..=0x11c2) if (base - SYLLABLES).is_multiple_of(TRAILING_COUNT) => {
            char::from_u32(base + (mark - TRAILING))
        }
        _ => None,
    }
}

/// A mark, and then each letter with what it is together with that mark.
const PAIRS: [(char, &str); 18] = [
    (
        '\u{300}',
        "AÀEÈIÌOÒUÙaàeèiìoòuùÜǛüǜNǸnǹЕЀИЍеѐиѝĒḔēḕŌṐōṑWẀwẁÂẦâầĂẰăằÊỀêềÔỒôồƠỜơờƯỪưừYỲyỳ",
    ),
    (
        '\u{301}',
        "AÁEÉIÍOÓUÚYÝaáeéiíoóuúyýCĆcćLĹlĺNŃnńRŔrŕSŚsśZŹzźÜǗüǘGǴgǵÅǺåǻÆǼæǽØǾøǿ¨΅ΑΆΕΈΗΉ\
         ΙΊΟΌΥΎΩΏϊΐαάεέηήιίϋΰοόυύωώϒϓГЃКЌгѓкќÇḈçḉĒḖēḗÏḮïḯKḰkḱMḾmḿÕṌõṍŌṒōṓPṔpṕŨṸũṹWẂwẃ\
         ÂẤâấĂẮăắÊẾêếÔỐôốƠỚơớƯỨưứ",
    ),
    (
        '\u{302}',
        "AÂEÊIÎOÔUÛaâeêiîoôuûCĈcĉGĜgĝHĤhĥJĴjĵSŜsŝWŴwŵYŶyŷZẐzẑẠẬạậẸỆẹệỌỘọộ",
    ),
    (
        '\u{303}',
        "AÃNÑOÕaãnñoõIĨiĩUŨuũVṼvṽÂẪâẫĂẴăẵEẼeẽÊỄêễÔỖôỗƠỠơỡƯỮưữYỸyỹ",
    ),
    (
        '\u{304}',
        "AĀaāEĒeēIĪiīOŌoōUŪuūÜǕüǖÄǞäǟȦǠȧǡÆǢæǣǪǬǫǭÖȪöȫÕȬõȭȮȰȯȱYȲyȳИӢиӣУӮуӯGḠgḡḶḸḷḹṚṜṛṝ",
    ),
    (
        '\u{306}',
        "AĂaăEĔeĕGĞgğIĬiĭOŎoŏUŬuŭУЎИЙийуўЖӁжӂАӐаӑЕӖеӗȨḜȩḝẠẶạặ",
    ),
    (
        '\u{307}',
        "CĊcċEĖeėGĠgġIİZŻzżAȦaȧOȮoȯBḂbḃDḊdḋFḞfḟHḢhḣMṀmṁNṄnṅPṖpṗRṘrṙSṠsṡŚṤśṥŠṦšṧṢṨṣṩTṪ\
         tṫWẆwẇXẊxẋYẎyẏſẛ",
    ),
    (
        '\u{308}',
        "AÄEËIÏOÖUÜaäeëiïoöuüyÿYŸΙΪΥΫιϊυϋϒϔЕЁІЇеёіїАӒаӓӘӚәӛЖӜжӝЗӞзӟИӤиӥОӦоӧӨӪөӫЭӬэӭУӰ\
         уӱЧӴчӵЫӸыӹHḦhḧÕṎõṏŪṺūṻWẄwẅXẌxẍtẗ",
    ),
    (
        '\u{309}',
        "AẢaảÂẨâẩĂẲăẳEẺeẻÊỂêểIỈiỉOỎoỏÔỔôổƠỞơởUỦuủƯỬưửYỶyỷ",
    ),
    ('\u{30a}', "AÅaåUŮuůwẘyẙ"),
    ('\u{30b}', "OŐoőUŰuűУӲуӳ"),
    (
        '\u{30c}',
        "CČcčDĎdďEĚeěLĽlľNŇnňRŘrřSŠsšTŤtťZŽzžAǍaǎIǏiǐOǑoǒUǓuǔÜǙüǚGǦgǧKǨkǩƷǮʒǯjǰHȞhȟ",
    ),
    ('\u{31b}', "OƠoơUƯuư"),
    (
        '\u{323}',
        "BḄbḅDḌdḍHḤhḥKḲkḳLḶlḷMṂmṃNṆnṇRṚrṛSṢsṣTṬtṭVṾvṿWẈwẉZẒzẓAẠaạEẸeẹIỊiịOỌoọƠỢơợUỤuụ\
         ƯỰưựYỴyỵ",
    ),
    ('\u{327}', "CÇcçGĢgģKĶkķLĻlļNŅnņRŖrŗSŞsşTŢtţEȨeȩDḐdḑHḨhḩ"),
    ('\u{328}', "AĄaąEĘeęIĮiįUŲuųOǪoǫ"),
    (
        '\u{3099}',
        "かがきぎくぐけげこごさざしじすずせぜそぞただちぢつづてでとどはばひびふぶへべほぼ\
         うゔゝゞカガキギクグケゲコゴサザシジスズセゼソゾタダチヂツヅテデトドハバヒビフブ\
         ヘベホボウヴワヷヰヸヱヹヲヺヽヾ",
    ),
    ('\u{309a}', "はぱひぴふぷへぺほぽハパヒピフプヘペホポ"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("Entwu\u{308}rfe", "Entw\u{fc}rfe"),
            ("E\u{301}le\u{301}ments", "\u{c9}l\u{e9}ments"),
            ("\u{438}\u{306}", "\u{439}"),
            // Two marks, in the order of NFD.
            ("e\u{302}\u{301}a\u{323}\u{302}", "\u{1ebf}\u{1ead}"),
            ("\u{30b4}\u{30df}\u{7bb1}", "\u{30b4}\u{30df}\u{7bb1}"),
            ("\u{30b3}\u{3099}\u{30cf}\u{309a}", "\u{30b4}\u{30d1}"),
            (
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
                "\u{d55c}\u{ae00}",
            ),
            // A syllable with two trailing consonants, and a vowel alone.
            ("\u{d55c}\u{11ab}\u{1161}", "\u{d55c}\u{11ab}\u{1161}"),
            // Unknown pairs, and a mark at the start.
            ("\u{301}q\u{301}\u{308}", "\u{301}q\u{301}\u{308}"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(composed(name), expected, "{name}");
            assert_eq!(composed(expected), expected);
        }
    }

    #[test]
    fn each_pair_is_found() {
        for (mark, pairs) in PAIRS {
            let chars: Vec<char> = pairs.chars().collect();
            assert_eq!(chars.len() % 2, 0, "{mark:?}");
            for pair in chars.chunks(2) {
                assert_eq!(compose(pair[0], mark), Some(pair[1]));
                assert!(pair[0] != ' ' && !pair[1].is_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn once_is_enough(
            name in prop_oneof![
                any::<String>(),
                "[aeoUq\u{300}-\u{30c}\u{323}\u{1100}-\u{11ff}\u{3042}-\u{309a}\u{ac00}]{0,20}",
            ],
        ) {
            let once = composed(&name).into_owned();
            prop_assert!(once.chars().count() <= name.chars().count());
            prop_assert_eq!(composed(&once), &once[..]);
        }
    }
}
