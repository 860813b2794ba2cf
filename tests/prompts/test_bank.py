from rsseg_edge.prompts.bank import bank_phrases


def test_bank_holds_thousands_of_phrases_each_once():
    phrases = bank_phrases()
    assert len(phrases) >= 2000
    assert len({p.casefold() for p in phrases}) == len(phrases)


def test_phrases_are_plain_lower_case_words():
    for phrase in bank_phrases():
        assert phrase == " ".join(phrase.split()).lower(), phrase
        assert not set(phrase) & set(",;{}"), phrase  # they would end the word on the command line


def test_everyday_words_are_in_it():
    wanted = "building,house,bare land,desert,road,street,vegetation,trees,water,lake,solar panels,gravel road,ship"
    assert set(wanted.split(",")) <= set(bank_phrases())
