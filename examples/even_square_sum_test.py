from solution import even_square_sum


def test_mixed_numbers():
    assert even_square_sum([1, 2, 3, 4]) == 20


def test_no_even_number():
    assert even_square_sum([1, 3, 5]) == 0


def test_empty_list():
    assert even_square_sum([]) == 0


def test_negative_numbers():
    assert even_square_sum([-2, 5, 6]) == 40
