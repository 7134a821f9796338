package console

func orgsPages() []page {
	return nil
}
